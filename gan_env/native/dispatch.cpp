// The plain C interface: picks the instruction set when asked for a session, and shares rows out among threads.

#ifndef SOURCES  // see `library.sources_key`
#define SOURCES 0
#endif

#include <atomic>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include "kernel.h"

#if defined(__x86_64__)
#define EACH_ISA(DO) DO(avx512) DO(avx2) DO(plain)
#elif defined(__aarch64__)
#define EACH_ISA(DO) DO(neon)
#else
#define EACH_ISA(DO) DO(plain)
#endif

extern "C" {
#define DECLARE(isa)                                     \
    void* gan_worker_##isa(const Game*);                 \
    void gan_worker_free_##isa(const Game*, void*);      \
    int gan_worker_run_##isa(const Game*, void*, const Rows*, const Decision*, int64_t, int);
EACH_ISA(DECLARE)
}

namespace {

struct Isa {
    const char* name;
    void* (*make)(const Game*);
    void (*free)(const Game*, void*);
    int (*run)(const Game*, void*, const Rows*, const Decision*, int64_t, int);
};

#define ENTRY(isa) {#isa, gan_worker_##isa, gan_worker_free_##isa, gan_worker_run_##isa},
const Isa ISAS[] = {EACH_ISA(ENTRY)};  // the fastest first

bool runs_here(const char* name) {
#if defined(__x86_64__)
    if (!strcmp(name, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
    if (!strcmp(name, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return true;
}

const Isa* find(const char* name) {
    for (const Isa& isa : ISAS)
        if ((!name || !*name || !strcmp(name, isa.name)) && runs_here(isa.name)) return &isa;
    return nullptr;
}

struct Session {
    Game game;
    std::vector<Layer> g, d;
    const Isa* isa;
    std::vector<void*> workers;
    std::vector<int> owner;  // of each row: the worker that looked at it last

    Session(const Game& from, const Isa* found) : game(from), g(from.g.layer, from.g.layer + from.g.count),
                                                  d(from.d.layer, from.d.layer + from.d.count), isa(found) {
        game.g.layer = g.data(), game.d.layer = d.data();
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() {
        for (void* worker : workers) isa->free(&game, worker);
    }
    bool grow(size_t threads) {
        while (workers.size() < threads) {
            void* worker = isa->make(&game);
            if (!worker) return false;
            workers.push_back(worker);
        }
        return true;
    }
};

template <class T>
void find_worst(const Rows& rows, const Decision& asked) {
    const int64_t n = rows.count, looks = asked.updates + 1;
    const T *losses = static_cast<const T*>(asked.losses), *gradient = static_cast<const T*>(asked.gradient);
    const T* numbers = static_cast<const T*>(asked.numbers);
    double weight = 0, loss = 0, odd = 0, constant = 0;
    for (int64_t row = 0; row < n; ++row) {
        const double each = asked.vitals[row];
        if (each > weight) weight = each;
        odd += asked.vitals[n + row];
        constant += asked.vitals[2 * n + row] + asked.vitals[3 * n + row];
    }
    for (int64_t row = 0; row < n; ++row) weight += asked.vitals[row] - asked.vitals[row];
    for (int64_t i = 0; i < 3 * looks * n; ++i) {
        const double size = losses[i] < 0 ? -losses[i] : losses[i];
        if (size > loss) loss = size;
    }
    for (int64_t i = 0; i < 3 * looks * n; ++i) loss += losses[i] - losses[i];
    for (int64_t i = 0; i < asked.updates * n; ++i) odd += gradient[i] - gradient[i];
    for (int64_t i = 3 * n; i < 5 * n; ++i) odd += numbers[i] - numbers[i];  // mean logits
    asked.worst[0] = weight, asked.worst[1] = loss, asked.worst[2] = odd, asked.worst[3] = constant;
}

// Whether every row has a valid control: somebody moves, and multipliers are finite and above 0.
bool is_valid(const Decision& asked, int64_t n) {
    bool valid = true;
    for (int64_t row = 0; row < n; ++row) {
        const double g = asked.g_multiplier[row], d = asked.d_multiplier[row];
        valid &= (asked.update_g[row] | asked.update_d[row]) && g > 0 && d > 0 && g - g == 0 && d - d == 0;
    }
    return valid;
}

}  // namespace

extern "C" {

// The instruction sets that this library holds and this processor runs, the fastest first; null behind the last.
const char* gan_isa(int number) {
    for (const Isa& isa : ISAS)
        if (runs_here(isa.name) && number-- == 0) return isa.name;
    return nullptr;
}

// Scratch memory for a game; `isa` names an instruction set, null or "" the fastest. Null if there is no memory or none.
void* gan_session(const Game* game, const char* isa) {
    const Isa* found = find(isa);
    return found ? new (std::nothrow) Session(*game, found) : nullptr;
}

void gan_session_free(void* session) { delete static_cast<Session*>(session); }

// One decision of all rows. How many rows wait for a block of a fed stream; -1 if there is no memory, -2 if a row's
// control is not valid.
int64_t gan_run(void* opaque, const Rows* rows, const Decision* asked, int64_t threads) {
    Session& session = *static_cast<Session*>(opaque);
    const int64_t n = rows->count, last = asked->updates;
    if (last > 0 && !is_valid(*asked, n)) return -2;
    if (threads > n) threads = n;
    if (threads < 1) threads = 1;
    if (!session.grow(size_t(threads))) return -1;
    session.owner.resize(size_t(n), -1);
    std::atomic<int64_t> next{0}, waiting{0};
    auto work = [&](int number) {
        for (int64_t row; (row = next++) < n;) {
            if (asked->looks[row] > last) continue;
            const bool known = asked->known[row] && session.owner[row] == number;
            session.owner[row] = number;
            if (!session.isa->run(&session.game, session.workers[number], rows, asked, row, known)) ++waiting;
        }
    };
    std::vector<std::thread> others;
    for (int number = 1; number < threads; ++number) others.emplace_back(work, number);
    work(0);
    for (std::thread& other : others) other.join();
    if (waiting) return waiting;
    session.game.doubles ? find_worst<double>(*rows, *asked) : find_worst<float>(*rows, *asked);
    for (int64_t row = 0; row < n; ++row) asked->looks[row] = 0, asked->known[row] = 1;
    return 0;
}

// Sizes of what is handed over, and a number of the sources, by which Python knows that the library is of its own
// version.
int64_t gan_size(int which) {
    const int64_t sizes[] = {sizeof(Layer), sizeof(Game), sizeof(Data), sizeof(Rows), sizeof(Decision),
                             int64_t(SOURCES)};
    return sizes[which];
}

}  // extern "C"
