// One update of a GAN whose players are plain MLPs, all of it in cache, row after row.
//
// This file is compiled once for each instruction set (see `lanes.h`), always with -ffp-contract=off; `dispatch.cpp`
// picks one when the library is loaded. All give the same bits, for every product, sum and function is written out.
//
// Activations lie in tiles of four vectors of samples: tile by tile, feature by feature. The last vector is filled up
// with copies of the last sample, whose slopes are set to 0: what they hold is finite where that sample's is.

#include <cstdlib>
#include <new>

#include "draws.h"
#include "kernel.h"
#include "lanes.h"
#include "maths.h"

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)

namespace {

constexpr int TILE = 4;  // vectors of samples in a tile
constexpr double TINY = 1e-24;  // as `penalties.TINY`
constexpr int POWER_ITERATIONS = 8;  // as `regularisers.POWER_ITERATIONS`

// -- memory ----------------------------------------------------------------------------------------------------------

// Hands out pieces of one block, each at the start of a cache line; counts them first, when there is no block yet.
struct Arena {
    char* base;
    size_t used;

    template <class T>
    T* take(int64_t count) {
        const size_t at = used;
        used += (size_t(count) * sizeof(T) + 63) / 64 * 64;
        return base ? reinterpret_cast<T*>(base + at) : nullptr;
    }
};

// -- dense layers ----------------------------------------------------------------------------------------------------

// Columns of a batch: `vectors` vectors in tiles of four.
template <class T>
struct Columns {
    T* start;
    int64_t features;

    T* at(int64_t tile, int64_t feature) const {
        return start + (tile * features + feature) * (TILE * Of<T>::LANES);
    }
};

// out[o] = start[o] + sum over i of weight[o * by_out + i * by_in] * in[i], in order, for OUTS outputs and VECTORS
// vectors of samples of one tile; `finish(o, v, sum)` takes each.
template <int OUTS, int VECTORS, class T, class F>
INLINE void dense_block(const T* weight, int64_t by_out, int64_t by_in, const T* bias, const T* in, int64_t inputs,
                        F finish) {
    using V = typename Of<T>::V;
    constexpr int L = Of<T>::LANES;
    V sum[OUTS][VECTORS];
    UNROLLED for (int o = 0; o < OUTS; ++o) {
        const V first = all(bias ? bias[o] : T(0));
        UNROLLED for (int v = 0; v < VECTORS; ++v) sum[o][v] = first;
    }
    for (int64_t i = 0; i < inputs; ++i) {
        V x[VECTORS];
        UNROLLED for (int v = 0; v < VECTORS; ++v) x[v] = load(in + i * (TILE * L) + v * L);
        UNROLLED for (int o = 0; o < OUTS; ++o) {
            const V w = all(weight[o * by_out + i * by_in]);
            UNROLLED for (int v = 0; v < VECTORS; ++v) sum[o][v] = fma(w, x[v], sum[o][v]);
        }
    }
    UNROLLED for (int o = 0; o < OUTS; ++o) {
        UNROLLED for (int v = 0; v < VECTORS; ++v) finish(o, v, sum[o][v]);
    }
}

template <int VECTORS, class T, class F>
INLINE void dense_outputs(const T* weight, int64_t by_out, int64_t by_in, const T* bias, const T* in, int64_t inputs,
                          int64_t outputs, F finish) {
    int64_t o = 0;
    for (; o + 4 <= outputs; o += 4)
        dense_block<4, VECTORS>(weight + o * by_out, by_out, by_in, bias ? bias + o : nullptr, in, inputs,
                                [&](int k, int v, auto sum) { finish(o + k, v, sum); });
    for (; o + 2 <= outputs; o += 2)
        dense_block<2, VECTORS>(weight + o * by_out, by_out, by_in, bias ? bias + o : nullptr, in, inputs,
                                [&](int k, int v, auto sum) { finish(o + k, v, sum); });
    for (; o < outputs; ++o)
        dense_block<1, VECTORS>(weight + o * by_out, by_out, by_in, bias ? bias + o : nullptr, in, inputs,
                                [&](int k, int v, auto sum) { finish(o + k, v, sum); });
}

// The whole layer for the vectors of one tile.
template <class T, class F>
INLINE void dense_tile(const T* weight, int64_t by_out, int64_t by_in, const T* bias, const T* in, int64_t inputs,
                       int64_t outputs, int vectors, F finish) {
    constexpr int L = Of<T>::LANES;
    if (COLUMN_BLOCK == 4 && vectors == 4) {
        dense_outputs<4>(weight, by_out, by_in, bias, in, inputs, outputs, finish);
        return;
    }
    for (int first = 0; first < vectors; ++first)
        dense_outputs<1>(weight, by_out, by_in, bias, in + first * L, inputs, outputs,
                         [&](int64_t o, int v, auto sum) { finish(o, first + v, sum); });
}

template <class V, class T>
INLINE V activated(V x, int64_t activation, T slope) {
    const V zero = all(T(0));
    if (activation == RELU) return if_at_most(x, zero, zero, x);
    if (activation == LEAKY) return if_greater(x, zero, x, x * all(slope));
    return activation == TANH ? tanh_of<T>(x) : x;
}

// The slope before an activation, from the one behind it and the activation's output.
template <class V, class T>
INLINE V through(V behind, V after, int64_t activation, T slope) {
    const V zero = all(T(0));
    if (activation == RELU) return if_at_most(after, zero, zero, behind);
    if (activation == LEAKY) return if_greater(after, zero, behind, behind * all(slope));
    return activation == TANH ? behind * (all(T(1)) - after * after) : behind;
}

// Calls `body` with the activation's number as a constant, so that no loop decides.
template <class F>
INLINE void of_kind(int64_t activation, F body) {
    if (activation == RELU) body([] { return RELU; });
    else if (activation == LEAKY) body([] { return LEAKY; });
    else if (activation == TANH) body([] { return TANH; });
    else body([] { return NONE; });
}

INLINE int64_t tiles_of(int64_t vectors) { return (vectors + TILE - 1) / TILE; }
INLINE int vectors_in(int64_t vectors, int64_t tile) {
    return vectors - tile * TILE < TILE ? int(vectors - tile * TILE) : TILE;
}

// One of the parts that a weight gradient is summed over: left (outputs) times right (inputs) for each sample.
template <class T>
struct Part {
    Columns<T> left, right;
    int64_t vectors;
    const T* scale;  // of `left` in the bias' gradient, sample by sample; null for none
};

template <int OUTS, int INS, class T>
INLINE void product_block(const Part<T>* part, int parts, int64_t o, int64_t i, T* gradient, int64_t inputs) {
    using V = typename Of<T>::V;
    constexpr int L = Of<T>::LANES;
    V total[16];
    UNROLLED for (int k = 0; k < 16; ++k) total[k] = all(T(0));
    for (int p = 0; p < parts; ++p) {
        for (int64_t tile = 0; tile < tiles_of(part[p].vectors); ++tile) {
            const T *left = part[p].left.at(tile, o), *right = part[p].right.at(tile, i);
            const int vectors = vectors_in(part[p].vectors, tile);
            for (int v = 0; v < vectors; ++v) {
                V x[INS];
                UNROLLED for (int k = 0; k < INS; ++k) x[k] = load(right + (k * TILE + v) * L);
                UNROLLED for (int j = 0; j < OUTS; ++j) {
                    const V g = load(left + (j * TILE + v) * L);
                    UNROLLED for (int k = 0; k < INS; ++k) total[4 * k + j] = fma(g, x[k], total[4 * k + j]);
                }
            }
        }
    }
    T found[16];
    if (OUTS * INS == 16) {
        sums(total, found);
    } else {
        UNROLLED for (int k = 0; k < OUTS * INS; ++k)
            found[k / INS * 4 + k % INS] = sum(total[k % INS * 4 + k / INS]);
    }
    UNROLLED for (int j = 0; j < OUTS; ++j) {
        memcpy(gradient + (o + j) * inputs + i, found + 4 * j, INS * sizeof(T));
    }
}

template <class T>
void weight_gradient(const Part<T>* part, int parts, const Layer& layer, T* gradient) {
    using V = typename Of<T>::V;
    constexpr int L = Of<T>::LANES, P = PRODUCT_BLOCK;
    const int64_t outputs = layer.outputs, inputs = layer.inputs;
    T* into = gradient + layer.weight;
    int64_t o = 0;
    for (; o + P <= outputs; o += P) {
        int64_t i = 0;
        for (; i + P <= inputs; i += P) product_block<P, P>(part, parts, o, i, into, inputs);
        for (; i < inputs; ++i) product_block<P, 1>(part, parts, o, i, into, inputs);
    }
    for (; o < outputs; ++o) {
        int64_t i = 0;
        for (; i + P <= inputs; i += P) product_block<1, P>(part, parts, o, i, into, inputs);
        for (; i < inputs; ++i) product_block<1, 1>(part, parts, o, i, into, inputs);
    }
    if (layer.bias < 0) return;
    for (o = 0; o < outputs; o += 16) {
        const int count = outputs - o < 16 ? int(outputs - o) : 16;
        V sum[16];
        for (int k = 0; k < 16; ++k) sum[k] = all(T(0));
        for (int p = 0; p < parts; ++p) {
            for (int64_t v = 0; v < part[p].vectors; ++v) {
                const T* left = part[p].left.at(v / TILE, o) + v % TILE * L;
                if (part[p].scale) {
                    const V scale = load(part[p].scale + v * L);
                    for (int k = 0; k < count; ++k) sum[k] = fma(load(left + k * TILE * L), scale, sum[k]);
                } else {
                    for (int k = 0; k < count; ++k) sum[k] = sum[k] + load(left + k * TILE * L);
                }
            }
        }
        T found[16];
        sums(sum, found);
        for (int k = 0; k < count; ++k) gradient[layer.bias + o + k] = found[4 * (k % 4) + k / 4];
    }
}

// -- losses ----------------------------------------------------------------------------------------------------------

enum Side { REAL, FAKE, GENERATOR };

// Of PAIRS, `f` is the sample's logit less that of the other side's; D's loss is shared by both sides.
template <class T, class V>
INLINE V loss_of(int64_t kind, Side side, V f) {
    const V zero = all(T(0)), one = all(T(1));
    if (kind == BCE) return softplus<T>(side == FAKE ? f : zero - f);
    if (kind == PAIRS) return softplus<T>(side == FAKE ? f : zero - f) * all(T(side == GENERATOR ? 1 : 0.5));
    if (kind == SQUARES) {
        const V off = side == FAKE ? f : f - one;
        return off * off;
    }
    if (kind == LINEAR || side == GENERATOR) return side == FAKE ? f : zero - f;
    const V margin = side == FAKE ? one + f : one - f;
    return if_at_most(margin, zero, zero, margin);
}

// In the sample's own logit, through both halves of PAIRS.
template <class T, class V>
INLINE V slope_of(int64_t kind, Side side, V f) {
    const V zero = all(T(0)), one = all(T(1)), minus = all(T(-1));
    if (kind == BCE || kind == PAIRS) return side == FAKE ? sigmoid<T>(f) : zero - sigmoid<T>(zero - f);
    if (kind == SQUARES) return all(T(2)) * (side == FAKE ? f : f - one);
    if (kind == LINEAR || side == GENERATOR) return side == FAKE ? one : minus;
    return side == FAKE ? if_greater(f, minus, one, zero) : if_greater(one, f, minus, zero);
}

// -- one row ---------------------------------------------------------------------------------------------------------

// A batch of samples in D: what each layer took in, and the slope of the logit behind each.
template <class T>
struct Pass {
    Columns<T>* held;    // [layers + 1]: what layer l takes in; the last are the logits
    Columns<T>* behind;  // [layers]: the logit's slope behind the linear layer l
    Columns<T>* left;    // [layers]: the same times the loss' slope
    Columns<T>* before;  // [layers]: what takes the place of `held` in the gradient of a function of slopes
    Columns<T> at_input;  // the logit's slope in the sample
    T *at_logit, *at_squared, *squared;  // per sample
};

constexpr int MOST_LAYERS = 64;

template <class T>
class Worker {
public:
    using V = typename Of<T>::V;
    static constexpr int L = Of<T>::LANES;

    explicit Worker(const Game& game) : game_(game) {
        Arena count{nullptr, 0};
        lay_out(count);
        memory_ = static_cast<char*>(aligned_alloc(64, (count.used + 4095) / 4096 * 4096));
        if (!memory_) return;
        memset(memory_, 0, count.used);
        Arena real{memory_, 0};
        lay_out(real);
        for (int64_t s = 0; s < vectors_ * L; ++s) valid_[s] = s < game_.batch ? T(1) : T(0);
    }
    ~Worker() { free(memory_); }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    bool ready() const { return memory_ != nullptr; }

    // As many looks and updates as the streams allow; true when the decision is done.
    bool run(const Rows& rows, const Decision& asked, int64_t row, bool known) {
        rows_ = &rows, row_ = row;
        const int64_t n = rows.count, last = asked.updates;
        const bool active = last && (!asked.active || asked.active[row]);
        const bool d = active && asked.update_d[row], g = active && asked.update_g[row];
        d_flat_ = static_cast<T*>(rows.d_flat) + row * game_.d.weights;
        g_flat_ = static_cast<T*>(rows.g_flat) + row * game_.g.weights;
        T *losses = static_cast<T*>(asked.losses), *gradient = static_cast<T*>(asked.gradient);
        for (int64_t& look = asked.looks[row];; ++look) {
            if (look > 0 || !known || known_ != row) {
                known_ = -1;
                if (!fetch()) return false;
                see();
            }
            do {  // a row that is not active sees the same throughout
                for (int part = 0; part < 3; ++part) losses[(part * (last + 1) + look) * n + row] = numbers_[part];
                if (!active && look < last) gradient[look * n + row] = T(0);
            } while (!active && look++ < last);
            if (look >= last) break;
            if (!fetch_probe(d)) return false;
            known_ = -1;
            anneal(rows.updates[row]);
            gradient[look * n + row] = update(d, g, asked.g_multiplier[row], asked.d_multiplier[row]);
            ++rows.updates[row];
            rows.real_index[row] += !asked.reuse_real[row];
            rows.d_updates[row] += d, rows.g_updates[row] += g;
            look_back(game_.g_optimizer, g_flat_, rows.g_moment[2], game_.g.weights);
            look_back(game_.d_optimizer, d_flat_, rows.d_moment[2], game_.d.weights);
        }
        known_ = row;
        asked.looks[row] = last + 1;
        for (int part = 0; part < 7; ++part) static_cast<T*>(asked.numbers)[part * n + row] = numbers_[part];
        const int64_t batch = game_.batch;
        memcpy(static_cast<T*>(asked.real_logits) + row * batch, logits_, batch * sizeof(T));
        memcpy(static_cast<T*>(asked.fake_logits) + row * batch, logits_ + vectors_ * L, batch * sizeof(T));
        examine(asked.vitals + row, n);
        if (asked.fake) {
            T* fake = static_cast<T*>(asked.fake) + row * batch * game_.features;
            for (int64_t s = 0; s < batch; ++s)
                for (int64_t f = 0; f < game_.features; ++f)
                    fake[s * game_.features + f] = clean_[1].at(s / L / TILE, f)[s / L % TILE * L + s % L];
        }
        return true;
    }

private:
    // Places of everything that a row needs, in an arena that may be counting only.
    void lay_out(Arena& arena) {
        vectors_ = (game_.batch + L - 1) / L;
        const int64_t tiles = tiles_of(vectors_);
        auto columns = [&](int64_t features) {
            return Columns<T>{arena.take<T>(tiles * features * TILE * L), features};
        };
        auto samples = [&] { return arena.take<T>(vectors_ * L); };
        valid_ = samples();
        logits_ = arena.take<T>(2 * vectors_ * L);
        for (int side = 0; side < 2; ++side) clean_[side] = columns(game_.features), noised_[side] = columns(game_.features);
        for (int side = 0; side < 3; ++side) {
            Pass<T>& pass = pass_[side];
            pass.held = held_[side], pass.behind = behind_[side], pass.left = left_[side], pass.before = before_[side];
            pass.held[0] = columns(game_.features);
            pass.at_input = columns(game_.features);
            for (int64_t l = 0; l < game_.d.count; ++l) {
                const Layer& layer = game_.d.layer[l];
                pass.held[l + 1] = columns(layer.outputs), pass.behind[l] = columns(layer.outputs);
                pass.left[l] = columns(layer.outputs), pass.before[l] = columns(layer.inputs);
            }
            pass.at_logit = samples(), pass.at_squared = samples(), pass.squared = samples();
        }
        g_held_[0] = columns(game_.latents);
        for (int64_t l = 0; l < game_.g.count; ++l) {
            g_held_[l + 1] = l + 1 == game_.g.count ? clean_[1] : columns(game_.g.layer[l].outputs);
            g_behind_[l] = columns(game_.g.layer[l].outputs);
        }
        answer_[0] = columns(widest()), answer_[1] = columns(widest());
        d_gradient_ = arena.take<T>(game_.d.weights + L), g_gradient_ = arena.take<T>(game_.g.weights + L);
        made_ = arena.take<T>(game_.d.weights + L);
        for (int64_t l = 0; l < game_.d.count; ++l) {
            const Layer& layer = game_.d.layer[l];
            u_[l] = arena.take<T>(layer.outputs + L), v_[l] = arena.take<T>(layer.inputs + L);
        }
    }

    int64_t widest() const {
        int64_t most = game_.features;
        for (int64_t l = 0; l < game_.d.count; ++l)
            if (game_.d.layer[l].outputs > most) most = game_.d.layer[l].outputs;
        return most;
    }

    // -- what is drawn -----------------------------------------------------------------------------------------------

    // Batch number `index` of the row, or null where its block is not there and is not ours to draw.
    const void* batch_of(const Stream& stream, int64_t index, size_t size) {
        const int64_t number = index / stream.length;
        char* block = static_cast<char*>(stream.codes) + row_ * stream.length * stream.width * size;
        if (stream.held[row_] != number) {
            if (stream.draw == FED) return nullptr;
            Generator from(key_of(rows_->seed[row_], rows_->episode[row_], stream.purpose, number));
            float* out = reinterpret_cast<float*>(block);
            const int64_t count = stream.length * stream.width;
            if (stream.draw == NORMALS) fill_normal(from, out, count);
            else if (stream.draw == UNIFORMS) fill_uniform(from, out, count);
            else {
                const Data& data = rows_->data[rows_->which[row_]];
                fill_mixture(from, data.centres, data.modes, data.std, out, count / 2);
            }
            stream.held[row_] = number;
        }
        return block + index % stream.length * stream.width * size;
    }

    // Samples (count, features) side by side; the last one fills up the last vector.
    template <class F>
    void put_columns(Columns<T> into, F sample) {
        for (int64_t s = 0; s < vectors_ * L; ++s) {
            T* at = into.at(s / L / TILE, 0) + s / L % TILE * L + s % L;
            sample(s < game_.batch ? s : game_.batch - 1, [&](int64_t feature, T value) { at[feature * TILE * L] = value; });
        }
    }
    void put_floats(Columns<T> into, const float* samples) {
        const int64_t features = into.features, whole = game_.batch / L;
        for (int64_t v = 0; v < whole; ++v) {
            T* at = into.at(v / TILE, 0) + v % TILE * L;
            for (int64_t f = 0; f < features; ++f)
                UNROLLED for (int l = 0; l < L; ++l) at[f * TILE * L + l] = T(samples[(v * L + l) * features + f]);
        }
        if (whole == vectors_) return;
        T* at = into.at(whole / TILE, 0) + whole % TILE * L;
        for (int l = 0; l < L; ++l) {
            const int64_t s = whole * L + l < game_.batch ? whole * L + l : game_.batch - 1;
            for (int64_t f = 0; f < features; ++f) at[f * TILE * L + l] = T(samples[s * features + f]);
        }
    }

    // The coming batch; false where it is not there.
    bool fetch() {
        const Data& data = rows_->data[rows_->which[row_]];
        const void* real = batch_of(rows_->real, rows_->real_index[row_], data.form == POINTS ? 4 : 8);
        const void* latents = batch_of(rows_->latent, rows_->updates[row_], 4);
        if (!real || !latents) return false;
        put_floats(g_held_[0], static_cast<const float*>(latents));
        if (data.form == POINTS) {
            put_floats(clean_[0], static_cast<const float*>(real));
            return true;
        }
        const int64_t* code = static_cast<const int64_t*>(real);
        const int64_t features = game_.features;
        put_columns(clean_[0], [&](int64_t s, auto put) {
            const int64_t at = code[s] * features;
            if (data.form == FLOATS)
                for (int64_t f = 0; f < features; ++f) put(f, T(static_cast<const float*>(data.table)[at + f]));
            else
                for (int64_t f = 0; f < features; ++f)
                    put(f, T(float(static_cast<const uint8_t*>(data.table)[at + f]) / 127.5f - 1.0f));
        });
        return true;
    }

    // What the loss draws for the coming update; false where it is not there.
    bool fetch_probe(bool d) {
        if (!game_.noisy && !(game_.penalty == GP && d)) return true;
        probe_ = static_cast<const float*>(batch_of(rows_->probe, rows_->updates[row_], 4));
        return probe_ != nullptr;
    }

    // -- forward and back --------------------------------------------------------------------------------------------

    void forward(const Player& player, const T* flat, Columns<T>* held) {
        for (int64_t tile = 0; tile < tiles_of(vectors_); ++tile) {
            for (int64_t l = 0; l < player.count; ++l) {
                const Layer& layer = player.layer[l];
                const T* bias = layer.bias < 0 ? nullptr : flat + layer.bias;
                const T slope = T(layer.slope);
                T* out = held[l + 1].at(tile, 0);
                of_kind(layer.activation, [&](auto kind) {
                    dense_tile(flat + layer.weight, layer.inputs, int64_t(1), bias, held[l].at(tile, 0), layer.inputs,
                               layer.outputs, vectors_in(vectors_, tile), [&](int64_t o, int v, V sum) {
                                   store(out + (o * TILE + v) * L, activated(sum, kind(), slope));
                               });
                });
            }
        }
    }

    // From behind[l] to behind[l - 1], and so on to the first; `also(l, o, v, slope)` sees each that is made.
    template <class F>
    void backward(const Player& player, const T* flat, const Columns<T>* held, const Columns<T>* behind, F also) {
        for (int64_t tile = 0; tile < tiles_of(vectors_); ++tile) {
            for (int64_t l = player.count - 1; l > 0; --l) {
                const Layer &layer = player.layer[l], &below = player.layer[l - 1];
                const T* after = held[l].at(tile, 0);
                T* out = behind[l - 1].at(tile, 0);
                const T slope = T(below.slope);
                of_kind(below.activation, [&](auto kind) {
                    dense_tile(flat + layer.weight, int64_t(1), layer.inputs, static_cast<const T*>(nullptr),
                               behind[l].at(tile, 0), layer.outputs, layer.inputs, vectors_in(vectors_, tile),
                               [&](int64_t o, int v, V sum) {
                                   const int64_t at = (o * TILE + v) * L;
                                   const V made = through(sum, load(after + at), kind(), slope);
                                   store(out + at, made);
                                   also(l - 1, tile, at, tile * TILE + v, made);
                               });
                });
            }
        }
    }

    // The slope in the inputs, from that behind the first layer.
    template <class F>
    void to_inputs(const Player& player, const T* flat, const Columns<T>* behind, F finish) {
        const Layer& layer = player.layer[0];
        for (int64_t tile = 0; tile < tiles_of(vectors_); ++tile)
            dense_tile(flat + layer.weight, int64_t(1), layer.inputs, static_cast<const T*>(nullptr),
                       behind[0].at(tile, 0), layer.outputs, layer.inputs, vectors_in(vectors_, tile),
                       [&](int64_t o, int v, V sum) { finish(tile, (o * TILE + v) * L, tile * TILE + v, sum); });
    }

    template <class F>
    INLINED void each_vector(F body) {
        for (int64_t v = 0; v < vectors_; ++v) body(v * L);
    }
    INLINED V valid(int64_t at, V x) { return if_greater(load(valid_ + at), all(T(0)), x, all(T(0))); }

    // What the loss is a function of: the logit of a side, or of pairs its difference to the other side's.
    INLINED V compared(int side, int64_t at) {
        const V own = load(logits(pass_[side]) + at);
        return game_.loss == PAIRS ? own - load(logits(pass_[1 - side]) + at) : own;
    }

    T* logits(Pass<T>& pass) { return pass.held[game_.d.count].start; }  // of one feature: vector by vector

    // Both players on the coming batch, and what is told of it.
    void see() {
        forward(game_.g, g_flat_, g_held_);
        for (int side = 0; side < 2; ++side) {
            pass_[side].held[0] = clean_[side];
            forward(game_.d, d_flat_, pass_[side].held);
        }
        V total[7];
        for (V& each : total) each = all(T(0));
        const V zero = all(T(0)), one = all(T(1));
        each_vector([&](int64_t at) {
            const V real = load(logits(pass_[0]) + at), fake = load(logits(pass_[1]) + at);
            store(logits_ + at, real), store(logits_ + vectors_ * L + at, fake);
            const V on_real = compared(0, at), on_fake = compared(1, at);
            const V each[7] = {loss_of<T>(game_.loss, GENERATOR, on_fake), loss_of<T>(game_.loss, REAL, on_real),
                               loss_of<T>(game_.loss, FAKE, on_fake), real, fake, if_greater(real, zero, one, zero),
                               if_greater(zero, fake, one, zero)};
            for (int k = 0; k < 7; ++k) total[k] = total[k] + valid(at, each[k]);
        });
        for (int k = 0; k < 7; ++k) numbers_[k] = sum(total[k]) / T(game_.batch);
    }

    // What tells a training that has failed: the largest absolute weight, NaN where one is not finite; 0, or NaN where a
    // moment is not finite; whether D says one thing of every sample; whether G makes one sample of every latent.
    void examine(double* out, int64_t step) {
        V largest = all(T(0)), odd = all(T(0));
        auto weights = [&](T* at, int64_t count) {
            const V zero = all(T(0));
            over<false>(at, count, [&](V w) {
                const V size = if_greater(w, zero, w, zero - w);
                largest = if_greater(size, largest, size, largest), odd = odd + (w - w);
                return w;
            });
        };
        weights(g_flat_, game_.g.weights), weights(d_flat_, game_.d.weights);
        T lane[L], most = T(0);
        store(lane, largest);
        for (T each : lane) most = each > most ? each : most;
        out[0] = double(most) + double(sum(odd));
        odd = all(T(0));
        for (int k = 0; k < 3; ++k) {
            auto moments = [&](void* at, int64_t count) {
                if (at) over<false>(static_cast<T*>(at) + row_ * count, count, [&](V m) { return odd = odd + (m - m), m; });
            };
            moments(rows_->g_moment[k], game_.g.weights), moments(rows_->d_moment[k], game_.d.weights);
        }
        out[step] = double(sum(odd));
        const T first = *logits_;
        bool same = true;
        for (int64_t s = 0; s < game_.batch; ++s) same &= logits_[s] == first && logits_[vectors_ * L + s] == first;
        out[2 * step] = same;
        same = true;
        for (int64_t f = 0; f < game_.features; ++f) {
            const T made = *clean_[1].at(0, f);
            V apart = all(T(0));
            for (int64_t v = 0; v < vectors_; ++v)
                apart = apart + if_apart(load(clean_[1].at(v / TILE, f) + v % TILE * L), all(made));
            if (sum(apart) != 0) {
                same = false;
                break;
            }
        }
        out[3 * step] = same;
    }
    static INLINED V if_apart(V a, V b) {  // 0 where they are equal, 1 elsewhere
        const V one = all(T(1));
        return if_at_most(a, b, if_at_most(b, a, all(T(0)), one), one);
    }

    // -- an update ---------------------------------------------------------------------------------------------------

    // What is annealed, as it is at a row's update number `updates`.
    void anneal(int64_t updates) {
        if (!game_.annealed) return;
        const int64_t at = updates < game_.annealed ? updates : game_.annealed - 1;
        if (game_.coefficients) game_.coefficient = game_.coefficients[at];
        auto move = [&](Optimizer& each) {
            if (each.beta2s) each.beta2 = each.beta2s[at];
        };
        move(game_.g_optimizer), move(game_.d_optimizer);
    }

    // Whether gradients are taken of another pass than the one that is measured.
    bool trained_apart() const { return game_.noisy || game_.spectral_norm; }

    T update(bool d, bool g, double g_multiplier, double d_multiplier) {
        const bool late = d && g && game_.alternating;
        T total = T(0);
        if (trained_apart()) {
            if (game_.noisy) add_noise();
            const T* flat = trained();
            if (d || game_.loss == PAIRS) forward(game_.d, flat, pass_[0].held);
            forward(game_.d, flat, pass_[1].held);
        }
        const T* flat = game_.spectral_norm ? made_ : d_flat_;
        if (d) d_gradient(flat, g && !late);
        if (g && !late) {
            if (!d) slopes(flat, 1, true);
            g_gradient();
        }
        if (d) {
            total = total + step(game_.d_optimizer, d_flat_, rows_->d_moment, game_.d.weights, d_gradient_,
                                 ++rows_->d_steps[row_], rows_->d_lr[row_] * d_multiplier);
            if (game_.clipped) clip();
        }
        if (late) {
            flat = trained();
            if (game_.loss == PAIRS) forward(game_.d, flat, pass_[0].held);
            forward(game_.d, flat, pass_[1].held);
            slopes(flat, 1, true);
            g_gradient();
        }
        if (g)
            total = total + step(game_.g_optimizer, g_flat_, rows_->g_moment, game_.g.weights, g_gradient_,
                                 ++rows_->g_steps[row_], rows_->g_lr[row_] * g_multiplier);
        return total;
    }

    // D's weights as its loss sees them.
    const T* trained() {
        if (!game_.spectral_norm) return d_flat_;
        normalise();
        return made_;
    }

    void add_noise() {
        const T size = T(game_.coefficient);
        const int64_t features = game_.features;
        for (int side = 0; side < 2; ++side) {
            const float* noise = probe_ + side * game_.batch * features;
            pass_[side].held[0] = noised_[side];
            put_columns(noised_[side], [&](int64_t s, auto put) {
                const T* clean = clean_[side].at(s / L / TILE, 0) + s / L % TILE * L + s % L;
                for (int64_t f = 0; f < features; ++f)
                    put(f, clean[f * TILE * L] + size * T(noise[s * features + f]));
            });
        }
    }

    // The logit's slope behind each layer of a pass and, if asked, in the samples.
    void slopes(const T* flat, int side, bool inputs) {
        Pass<T>& pass = pass_[side];
        start_back(pass, nullptr);
        backward(game_.d, flat, pass.held, pass.behind, [](int64_t, int64_t, int64_t, int64_t, V) {});
        if (inputs) input_slopes(flat, pass);
    }

    void input_slopes(const T* flat, Pass<T>& pass) {
        to_inputs(game_.d, flat, pass.behind,
                  [&](int64_t tile, int64_t at, int64_t, V sum) { store(pass.at_input.at(tile, 0) + at, sum); });
    }

    // Behind the last layer: 1, or what is given for each sample, through the activation of the logits, if there is one.
    void start_back(Pass<T>& pass, const T* given) {
        const int64_t last = game_.d.count - 1;
        const Layer& layer = game_.d.layer[last];
        each_vector([&](int64_t at) {
            const V first = given ? load(given + at) : all(T(1));
            store(pass.behind[last].start + at,
                  through(first, load(logits(pass) + at), layer.activation, T(layer.slope)));
        });
    }

    // The gradient of D's loss with its penalty, in `d_gradient_`; with the slopes of the generated samples' logits in
    // the samples, if G moves, too.
    void d_gradient(const T* flat, bool for_g) {
        Part<T> part[3];
        bool by_slopes[3] = {false, false, false};
        const bool dressed = game_.gradient_normalised;
        by_slopes[0] = dressed || game_.penalty == JS || game_.penalty == R1 || game_.penalty == R1_R2;
        by_slopes[1] = dressed || game_.penalty == JS || game_.penalty == R2 || game_.penalty == R1_R2;
        by_slopes[2] = game_.penalty == GP;
        const int parts = by_slopes[2] ? 3 : 2;
        if (by_slopes[2]) mix();
        T penalty = T(0);
        for (int side = 0; side < parts; ++side) {
            Pass<T>& pass = pass_[side];
            if (by_slopes[side]) {
                slopes(flat, side, true);
                squared_lengths(pass);
                penalty = penalty + derivatives(side);
                answer(flat, pass);
                continue;
            }
            const Side which = side ? FAKE : REAL;
            each_vector([&](int64_t at) {
                const V slope = slope_of<T>(game_.loss, which, compared(side, at)) / all(T(game_.batch));
                store(pass.at_logit + at, valid(at, slope));
            });
            if (side == 0) {  // nobody asks for the slopes of real samples' logits: the loss' go through D at once
                start_back(pass, pass.at_logit);
                backward(game_.d, flat, pass.held, pass.behind, [](int64_t, int64_t, int64_t, int64_t, V) {});
                continue;
            }
            start_back(pass, nullptr);
            const int64_t last = game_.d.count - 1;
            each_vector([&](int64_t at) {
                store(pass.left[last].start + at, load(pass.behind[last].start + at) * load(pass.at_logit + at));
            });
            backward(game_.d, flat, pass.held, pass.behind, [&](int64_t l, int64_t tile, int64_t at, int64_t v, V made) {
                store(pass.left[l].at(tile, 0) + at, made * load(pass.at_logit + v * L));
            });
            if (for_g) input_slopes(flat, pass);
        }
        for (int64_t l = 0; l < game_.d.count; ++l) {
            for (int side = 0; side < parts; ++side) {
                Pass<T>& pass = pass_[side];
                if (by_slopes[side]) part[side] = {pass.behind[l], pass.before[l], vectors_, pass.at_logit};
                else part[side] = {side ? pass.left[l] : pass.behind[l], pass.held[l], vectors_, nullptr};
            }
            weight_gradient(part, parts, game_.d.layer[l], d_gradient_);
        }
        if (game_.penalty != NO_PENALTY) static_cast<T*>(rows_->d_penalty)[row_] = T(game_.coefficient) * penalty;
        if (game_.spectral_norm) through_norm();
    }

    // Points between generated (mix 0) and real samples (mix 1), and D's pass on them.
    void mix() {
        Pass<T>& pass = pass_[2];
        put_columns(pass.held[0], [&](int64_t s, auto put) {
            const int64_t lane = s / L % TILE * L + s % L;
            const T *real = clean_[0].at(s / L / TILE, 0) + lane, *fake = clean_[1].at(s / L / TILE, 0) + lane;
            for (int64_t f = 0; f < game_.features; ++f) {
                const T there = fake[f * TILE * L];
                put(f, there + T(probe_[s]) * (real[f * TILE * L] - there));
            }
        });
        forward(game_.d, d_flat_, pass.held);
    }

    void squared_lengths(Pass<T>& pass) {
        each_vector([&](int64_t at) {
            const int64_t v = at / L;
            V total = all(T(0));
            for (int64_t f = 0; f < game_.features; ++f) {
                const V x = load(pass.at_input.at(v / TILE, f) + v % TILE * L);
                total = fma(x, x, total);
            }
            store(pass.squared + at, total);
        });
    }

    // What D's loss answers to each sample's logit and squared length, in `at_logit` and `at_squared`; the penalty.
    T derivatives(int side) {
        Pass<T>& pass = pass_[side];
        const Side which = side == 1 ? FAKE : REAL;
        const V zero = all(T(0)), one = all(T(1)), half = all(T(0.5)), batch = all(T(game_.batch));
        const V weight = all(T(game_.coefficient)), tiny = all(T(TINY));
        V penalty = zero;
        each_vector([&](int64_t at) {
            const V f = load(logits(pass) + at), q = load(pass.squared + at);
            V in_logit = side == 2 ? zero : slope_of<T>(game_.loss, which, compared(side, at)) / batch, in_squared = zero;
            const V length = root(if_greater(tiny, q, tiny, q));  // with no slope of its own below TINY
            if (game_.gradient_normalised) {
                const Normalised n = normalised(f, q);
                const V slope = slope_of<T>(game_.loss, which, n.logit) / batch;
                in_logit = slope * n.in_logit, in_squared = slope * n.in_squared;
            } else if (game_.penalty == GP) {
                const V off = length - one;
                penalty = penalty + valid(at, off * off);
                in_squared = if_greater(tiny, q, zero, weight * (off / length) / batch);
            } else if (game_.penalty == JS) {
                const V s = sigmoid<T>(which == FAKE ? f : zero - f), part = half * (s * s);
                penalty = penalty + valid(at, part * q);
                in_squared = weight * part / batch;
                const V more = weight * (s * s * (one - s) * q) / batch;
                in_logit = which == FAKE ? in_logit + more : in_logit - more;
            } else {
                penalty = penalty + valid(at, half * q);
                in_squared = weight * half / batch;
            }
            store(pass.at_logit + at, valid(at, in_logit));
            store(pass.at_squared + at, valid(at, in_squared));
        });
        return sum(penalty) / T(game_.batch);
    }

    struct Normalised {
        V logit, in_logit, in_squared;
    };
    // K f n / (q + ε), n the root of q, or K f / (n + |f|); and its derivatives.
    Normalised normalised(V f, V q) {
        const V k = all(T(game_.coefficient)), tiny = all(T(TINY)), zero = all(T(0));
        const V n = root(if_greater(tiny, q, tiny, q));
        const V root_slope = if_greater(tiny, q, zero, all(T(0.5)) / n);
        if (game_.gradient_normalised == BOUNDED) {
            const V below = n + if_greater(f, zero, f, zero - f), k_below = k / below;
            return {k_below * f, k_below * n / below, zero - k_below * f * root_slope / below};
        }
        const V below = q + all(T(game_.gran_eps));
        return {k * f * n / below, k * n / below, k * f * (root_slope - n / below) / below};
    }

    // How the function of slopes answers to each layer's weights: in `before`, to stand beside `behind`.
    void answer(const T* flat, Pass<T>& pass) {
        const V two = all(T(2));
        for (int64_t tile = 0; tile < tiles_of(vectors_); ++tile) {
            const int vectors = vectors_in(vectors_, tile);
            for (int64_t f = 0; f < game_.features; ++f) {
                for (int v = 0; v < vectors; ++v) {
                    const int64_t at = (tile * TILE + v) * L;
                    const V made = load(pass.at_input.at(tile, f) + v * L) * (two * load(pass.at_squared + at));
                    store(answer_[0].at(0, f) + v * L, made);
                    store(pass.before[0].at(tile, f) + v * L,
                          fma(load(pass.held[0].at(tile, f) + v * L), load(pass.at_logit + at), made));
                }
            }
            for (int64_t l = 0; l + 1 < game_.d.count; ++l) {
                const Layer& layer = game_.d.layer[l];
                const T *in = answer_[l % 2].at(0, 0), *held = pass.held[l + 1].at(tile, 0);
                T *out = answer_[1 - l % 2].at(0, 0), *before = pass.before[l + 1].at(tile, 0);
                const T slope = T(layer.slope);
                of_kind(layer.activation, [&](auto kind) {
                    dense_tile(flat + layer.weight, layer.inputs, int64_t(1), static_cast<const T*>(nullptr), in,
                               layer.inputs, layer.outputs, vectors, [&](int64_t o, int v, V sum) {
                                   const int64_t at = (o * TILE + v) * L;
                                   const V there = load(held + at), made = through(sum, there, kind(), slope);
                                   store(out + at, made);
                                   store(before + at, fma(there, load(pass.at_logit + (tile * TILE + v) * L), made));
                               });
                });
            }
        }
    }

    // G's gradient, from the slopes of the generated samples' logits in the samples.
    void g_gradient() {
        Pass<T>& pass = pass_[1];
        if (game_.gradient_normalised) squared_lengths(pass);
        each_vector([&](int64_t at) {
            const V f = load(logits(pass) + at);
            V slope;
            if (game_.gradient_normalised) {
                const Normalised n = normalised(f, load(pass.squared + at));
                slope = slope_of<T>(game_.loss, GENERATOR, n.logit) / all(T(game_.batch)) * n.in_logit;
            } else {
                slope = slope_of<T>(game_.loss, GENERATOR, compared(1, at)) / all(T(game_.batch));
            }
            store(pass.at_logit + at, valid(at, slope));
        });
        const Player& player = game_.g;
        const int64_t last = player.count - 1;
        const Layer& layer = player.layer[last];
        for (int64_t v = 0; v < vectors_; ++v) {
            const V slope = load(pass.at_logit + v * L);
            for (int64_t f = 0; f < game_.features; ++f) {
                const int64_t at = f * TILE * L + v % TILE * L;
                const V there = load(pass.at_input.at(v / TILE, 0) + at) * slope;
                store(g_behind_[last].at(v / TILE, 0) + at,
                      through(there, load(clean_[1].at(v / TILE, 0) + at), layer.activation, T(layer.slope)));
            }
        }
        backward(player, g_flat_, g_held_, g_behind_, [](int64_t, int64_t, int64_t, int64_t, V) {});
        for (int64_t l = 0; l < player.count; ++l) {
            const Part<T> part{g_behind_[l], g_held_[l], vectors_, nullptr};
            weight_gradient(&part, 1, player.layer[l], g_gradient_);
        }
    }

    // -- spectral norm -----------------------------------------------------------------------------------------------

    // As `regularisers.spectral_norm`: power iteration from ones; `u_` and `v_` are kept for the gradient.
    void normalise() {
        memcpy(made_, d_flat_, game_.d.weights * sizeof(T));
        for (int64_t l = 0; l < game_.d.count; ++l) {
            const Layer& layer = game_.d.layer[l];
            const T* weight = d_flat_ + layer.weight;
            T *u = u_[l], *v = v_[l];
            for (int64_t i = 0; i < layer.inputs; ++i) v[i] = T(1);
            for (int k = 0; k < POWER_ITERATIONS; ++k) {
                times(weight, layer, v, u);
                times_transposed(weight, layer, u, v);
                to_unit(v, layer.inputs);
            }
            times(weight, layer, v, u);
            T sigma = to_unit(u, layer.outputs);
            sigma_[l] = sigma;
            over(made_ + layer.weight, layer.outputs * layer.inputs, [&](V w) { return w / all(sigma); });
        }
    }

    // The gradient in the weights that were divided by sigma = u' W v, to that in those they were made of.
    void through_norm() {
        for (int64_t l = 0; l < game_.d.count; ++l) {
            const Layer& layer = game_.d.layer[l];
            const T *weight = d_flat_ + layer.weight, sigma = sigma_[l];
            T* gradient = d_gradient_ + layer.weight;
            const int64_t count = layer.outputs * layer.inputs;
            const T along = dot(gradient, weight, count) / (sigma * sigma);
            for (int64_t o = 0; o < layer.outputs; ++o) {
                const T scale = along * u_[l][o];
                for (int64_t i = 0; i < layer.inputs; ++i)
                    gradient[o * layer.inputs + i] = gradient[o * layer.inputs + i] / sigma - scale * v_[l][i];
            }
        }
    }

    // Whole vectors from `at` on, and what is left as one that is filled up with zeros.
    template <bool WRITES = true, class F>
    INLINED void over(T* at, int64_t count, F made) {
        for (; count >= L; at += L, count -= L) {
            const V found = made(load(at));
            if (WRITES) store(at, found);
        }
        if (count) {
            T rest[L] = {};
            memcpy(rest, at, count * sizeof(T));
            store(rest, made(load(rest)));
            if (WRITES) memcpy(at, rest, count * sizeof(T));
        }
    }
    static T dot(const T* a, const T* b, int64_t count) {
        V total = all(T(0));
        for (; count >= L; a += L, b += L, count -= L) total = fma(load(a), load(b), total);
        if (count) {
            T x[L] = {}, y[L] = {};
            memcpy(x, a, count * sizeof(T)), memcpy(y, b, count * sizeof(T));
            total = fma(load(x), load(y), total);
        }
        return sum(total);
    }
    static void times(const T* weight, const Layer& layer, const T* v, T* u) {
        for (int64_t o = 0; o < layer.outputs; ++o) u[o] = dot(weight + o * layer.inputs, v, layer.inputs);
    }
    static void times_transposed(const T* weight, const Layer& layer, const T* u, T* v) {
        int64_t i = 0;
        for (; i + L <= layer.inputs; i += L) {
            V total = all(T(0));
            for (int64_t o = 0; o < layer.outputs; ++o)
                total = fma(all(u[o]), load(weight + o * layer.inputs + i), total);
            store(v + i, total);
        }
        for (; i < layer.inputs; ++i) {
            T total = T(0);
            for (int64_t o = 0; o < layer.outputs; ++o) total = fused(u[o], weight[o * layer.inputs + i], total);
            v[i] = total;
        }
    }
    static float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
    static double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
    // Divides by the length, which it returns.
    T to_unit(T* v, int64_t count) {
        T length = sizeof(T) == 4 ? T(__builtin_sqrtf(float(dot(v, v, count)))) : T(__builtin_sqrt(dot(v, v, count)));
        if (length < T(1e-12)) length = T(1e-12);
        over(v, count, [&](V x) { return x / all(length); });
        return length;
    }

    // -- optimisers --------------------------------------------------------------------------------------------------

    // One step of a player; the sum of the gradient's entries.
    T step(const Optimizer& spec, T* flat, void* const* moments, int64_t count, T* gradient, int64_t age, double lr) {
        T* first = static_cast<T*>(moments[0]) + (moments[0] ? row_ * count : 0);
        T* second = static_cast<T*>(moments[1]) + (moments[1] ? row_ * count : 0);
        T* third = static_cast<T*>(moments[2]) + (moments[2] ? row_ * count : 0);
        V total = all(T(0));
        if (spec.kind == ADAM || spec.kind == LOOKAHEAD) {
            const double fade1 = power(spec.beta1, age), fade2 = power(spec.beta2, age);
            const V scale = all(T(lr / (1 - fade1))), correction = all(T(__builtin_sqrt(1 - fade2)));
            const V take1 = all(T(1 - spec.beta1)), keep2 = all(T(spec.beta2)), take2 = all(T(1 - spec.beta2));
            const V eps = all(T(spec.eps));
            sweep(count, flat, gradient, first, second, [&](V& w, V g, V& m, V& v) {
                total = total + g;
                m = fma(take1, g - m, m);
                v = fma(take2 * g, g, keep2 * v);
                w = w - m / (root(v) / correction + eps) * scale;
            });
        } else if (spec.kind == OADAM || spec.kind == EXTRA_ADAM) {
            const V rate = all(T(lr));
            total = to_direction(spec, count, gradient, first, second, age);
            if (spec.kind == OADAM) {
                sweep(count, flat, gradient, third, third, [&](V& w, V direction, V& last, V&) {
                    w = w - (direction + direction - last) * rate;
                    last = direction;
                });
            } else {
                const bool extrapolates = age % 2 == 1;
                sweep(count, flat, gradient, third, third, [&](V& w, V direction, V& start, V&) {
                    if (extrapolates) start = w;
                    w = start - direction * rate;
                });
            }
        } else if (spec.kind == RMSPROP) {
            const V keep = all(T(spec.alpha)), take = all(T(1 - spec.alpha)), eps = all(T(spec.eps)), rate = all(T(lr));
            sweep(count, flat, gradient, first, first, [&](V& w, V g, V& m, V&) {
                total = total + g;
                m = fma(take * g, g, keep * m);
                w = w - g / (root(m) + eps) * rate;
            });
        } else if (moments[0]) {
            const V keep = all(T(spec.momentum)), rate = all(T(lr));
            sweep(count, flat, gradient, first, first, [&](V& w, V g, V& m, V&) {
                total = total + g;
                m = fma(m, keep, g);
                w = w - m * rate;
            });
        } else {
            const V rate = all(T(lr));
            sweep(count, flat, gradient, gradient, gradient, [&](V& w, V g, V&, V&) {
                total = total + g;
                w = w - g * rate;
            });
        }
        return sum(total);
    }

    // Adam's direction in the gradient's place, and both moments; the sum of the gradient's entries, lane by lane.
    V to_direction(const Optimizer& spec, int64_t count, T* gradient, T* first, T* second, int64_t age) {
        V total = all(T(0));
        const double fade1 = power(spec.beta1, age), fade2 = power(spec.beta2, age);
        const V unbiased = all(T(1 - fade1)), correction = all(T(__builtin_sqrt(1 - fade2)));
        const V take1 = all(T(1 - spec.beta1)), keep2 = all(T(spec.beta2)), take2 = all(T(1 - spec.beta2));
        const V eps = all(T(spec.eps));
        sweep(count, gradient, gradient, first, second, [&](V& w, V g, V& m, V& v) {
            total = total + g;
            m = fma(take1, g - m, m);
            v = fma(take2 * g, g, keep2 * v);
            w = m / (root(v) / correction + eps) / unbiased;
        });
        return total;
    }

    // Every so many updates of the row the slow weights go towards the fast ones, and these go back to them.
    void look_back(const Optimizer& spec, T* flat, void* moment, int64_t count) {
        if (spec.kind != LOOKAHEAD || rows_->updates[row_] % spec.every) return;
        const V share = all(T(spec.share));
        T* slow = static_cast<T*>(moment) + row_ * count;
        sweep(count, flat, flat, slow, slow, [&](V& w, V, V& held, V&) { w = held = fma(share, w - held, held); });
    }

    // base^age by squaring: the same on every machine, which the C library's is not.
    static double power(double base, int64_t age) {
        double made = 1;
        for (; age; age >>= 1, base *= base)
            if (age & 1) made *= base;
        return made;
    }

    template <class F>
    INLINED void sweep(int64_t count, T* flat, T* gradient, T* first, T* second, F body) {
        int64_t at = 0;
        for (; at + L <= count; at += L) {
            V w = load(flat + at), m = load(first + at), v = load(second + at);
            body(w, load(gradient + at), m, v);
            store(flat + at, w);
            store_moments(first + at, second + at, gradient + at, m, v);
        }
        if (at == count) return;
        const size_t bytes = size_t(count - at) * sizeof(T);
        T w_[L] = {}, g_[L] = {}, m_[L] = {}, v_[L] = {};
        memcpy(w_, flat + at, bytes), memcpy(g_, gradient + at, bytes);
        memcpy(m_, first + at, bytes), memcpy(v_, second + at, bytes);
        V w = load(w_), m = load(m_), v = load(v_);
        body(w, load(g_), m, v);
        store(w_, w), store(m_, m), store(v_, v);
        memcpy(flat + at, w_, bytes);
        if (second != first && second != gradient) memcpy(second + at, v_, bytes);
        if (first != gradient) memcpy(first + at, m_, bytes);
    }
    INLINED void store_moments(T* first, T* second, T* gradient, V m, V v) {
        if (second != first && second != gradient) store(second, v);
        if (first != gradient) store(first, m);
    }

    void clip() {
        const V bound = all(T(game_.coefficient)), minus = all(T(-game_.coefficient));
        over(d_flat_, game_.d.weights, [&](V w) {
            const V below = if_greater(w, bound, bound, w);
            return if_greater(minus, below, minus, below);
        });
    }

    Game game_;
    char* memory_ = nullptr;
    int64_t vectors_, known_ = -1;
    const Rows* rows_ = nullptr;
    int64_t row_ = 0;
    T *g_flat_ = nullptr, *d_flat_ = nullptr;
    T *valid_, *logits_, *d_gradient_, *g_gradient_, *made_;
    const float* probe_ = nullptr;
    Columns<T> clean_[2], noised_[2], g_held_[MOST_LAYERS + 1], g_behind_[MOST_LAYERS], answer_[2];
    Columns<T> held_[3][MOST_LAYERS + 1], behind_[3][MOST_LAYERS], left_[3][MOST_LAYERS], before_[3][MOST_LAYERS];
    Pass<T> pass_[3];
    T *u_[MOST_LAYERS], *v_[MOST_LAYERS], sigma_[MOST_LAYERS], numbers_[7];
};

template <class T>
void* made(const Game& game) {
    void* memory = aligned_alloc(64, (sizeof(Worker<T>) + 63) / 64 * 64);
    if (!memory) return nullptr;
    auto* worker = new (memory) Worker<T>(game);
    if (worker->ready()) return worker;
    free(memory);
    return nullptr;
}

template <class T>
void unmade(void* worker) {
    static_cast<Worker<T>*>(worker)->~Worker<T>();
    free(worker);
}

}  // namespace

// What `dispatch.cpp` calls, under the name of the instruction set.
extern "C" {

void* CAT(gan_worker_, ISA)(const Game* game) { return game->doubles ? made<double>(*game) : made<float>(*game); }

void CAT(gan_worker_free_, ISA)(const Game* game, void* worker) {
    game->doubles ? unmade<double>(worker) : unmade<float>(worker);
}

int CAT(gan_worker_run_, ISA)(const Game* game, void* worker, const Rows* rows, const Decision* asked, int64_t row,
                              int known) {
    if (game->doubles) return static_cast<Worker<double>*>(worker)->run(*rows, *asked, row, known);
    return static_cast<Worker<float>*>(worker)->run(*rows, *asked, row, known);
}

}  // extern "C"
