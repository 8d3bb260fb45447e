// Replays a recorded session of the kernel (see `tests/training/test_native_bits.py`) and prints what it leaves.
//
// All numbers are int64. The file: how many pieces of memory, and of each its size and bytes; how many pointers, and of
// each the piece and offset where it lies and the piece that it points to; how many decisions, and of each its piece; how
// many results, and of each its piece. Piece 0 is the `Game`, piece 1 the `Rows`.
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernel.h"

extern "C" {
const char* gan_isa(int);
void* gan_session(const Game*, const char*);
int64_t gan_run(void*, const Rows*, const Decision*, int64_t);
}

static FILE* file;

static int64_t number() {
    int64_t value = -1;
    if (fread(&value, sizeof value, 1, file) != 1) fprintf(stderr, "the file ends early\n");
    return value;
}

// replay FILE ISA > RESULTS; without arguments the instruction sets that this processor runs.
int main(int count, char** given) {
    if (count < 3) {
        for (int i = 0; gan_isa(i); ++i) puts(gan_isa(i));
        return 0;
    }
    file = fopen(given[1], "rb");
    if (!file) return 2;
    std::vector<std::vector<double>> pieces(static_cast<size_t>(number()));  // doubles, to be aligned
    std::vector<size_t> sizes;
    for (auto& piece : pieces) {
        sizes.push_back(static_cast<size_t>(number()));
        piece.resize(sizes.back() / 8 + 1);
        if (fread(piece.data(), 1, sizes.back(), file) != sizes.back()) return 2;
    }
    for (int64_t left = number(); left > 0; --left) {
        const size_t where = size_t(number()), offset = size_t(number()), target = size_t(number());
        void* address = pieces[target].data();
        memcpy(reinterpret_cast<char*>(pieces[where].data()) + offset, &address, sizeof address);
    }
    void* session = gan_session(reinterpret_cast<Game*>(pieces[0].data()), given[2]);
    if (!session) return 3;
    for (int64_t left = number(); left > 0; --left) {
        const auto* asked = reinterpret_cast<Decision*>(pieces[size_t(number())].data());
        if (gan_run(session, reinterpret_cast<Rows*>(pieces[1].data()), asked, 1)) return 4;
    }
    for (int64_t left = number(); left > 0; --left) {
        const size_t which = size_t(number());
        fwrite(pieces[which].data(), 1, sizes[which], stdout);
    }
    return 0;
}
