// What Python hands over, as plain C: every struct has a mirror in `library.py`.
#pragma once

#include <cstdint>

extern "C" {

enum Activation : int64_t { NONE, RELU, LEAKY, TANH };
enum LossKind : int64_t { BCE, LINEAR, HINGE, SQUARES, PAIRS };  // PAIRS: of the difference of two logits
enum PenaltyKind : int64_t { NO_PENALTY, GP, JS, R1, R2, R1_R2 };
enum OptimizerKind : int64_t { ADAM, RMSPROP, SGD, OADAM, EXTRA_ADAM, LOOKAHEAD };
enum DrawKind : int64_t { FED, NORMALS, UNIFORMS, MIXTURE };
enum DataForm : int64_t { POINTS, FLOATS, BYTES };  // a code is the sample, or the number of one in a table

// A linear layer and what stands behind it. Places are within a row's flat weights; no bias is -1.
struct Layer {
    int64_t outputs, inputs, weight, bias, activation;
    double slope;  // of LEAKY, below zero
};

struct Player {
    int64_t count, weights;
    const Layer* layer;
};

struct Optimizer {
    int64_t kind;
    double beta1, beta2, alpha, momentum, eps;
    int64_t every;  // of LOOKAHEAD: a row's updates between two steps of its slow weights
    double share;   // how far these go towards the fast ones
    const double* beta2s;  // by a row's updates, see `Game::annealed`; null: beta2
};

struct Game {
    int64_t doubles;  // float64, else float32
    int64_t batch, latents, features;
    Player g, d;
    int64_t loss, penalty;
    int64_t gradient_normalised, spectral_norm, noisy, clipped, alternating;
    double coefficient, gran_eps;
    Optimizer g_optimizer, d_optimizer;
    const double* coefficients;  // by a row's updates; null: coefficient
    int64_t annealed;  // entries of each such table, whose last one holds for all later updates; 0 without one
};

// Kinds of gradient normalisation.
enum { UNBOUNDED = 1, BOUNDED = 2 };

// Where the real samples of a task come from.
struct Data {
    int64_t form;
    const void* table;  // (count, features) float32 or bytes
    const double* centres;  // of a mixture, (modes, 2)
    int64_t modes;
    double std;
};

// A `BlockStream`: blocks of `length` batches of `width` numbers a row, and which block each row holds.
struct Stream {
    int64_t draw, purpose, length, width;
    void* codes;
    int64_t* held;
};

// The state of N rows; arrays lead with N, weights and moments are of the game's precision.
struct Rows {
    int64_t count;
    void *g_flat, *d_flat, *g_moment[3], *d_moment[3];
    int64_t *g_steps, *d_steps;
    const double *g_lr, *d_lr;
    const int64_t *seed, *episode, *which;
    int64_t *updates, *real_index, *g_updates, *d_updates;
    void* d_penalty;
    Stream real, latent, probe;
    const Data* data;  // by `which`
};

// One decision: k updates of the rows that are active, and a look before each and after the last. With k = 0 the control
// is not read.
struct Decision {
    int64_t updates;
    const uint8_t *update_g, *update_d, *reuse_real;  // (N,) bools, as those that follow
    const uint8_t* active;  // null: all
    uint8_t* known;  // rows whose state nobody changed since the last look: all, once a decision is done
    const double *g_multiplier, *d_multiplier;
    int64_t* looks;  // (N,) made so far, less than k + 1 where a fed stream has no block; 0 between decisions
    void *losses, *gradient;  // (3, k + 1, N) and (k, N)
    void *numbers, *real_logits, *fake_logits;  // of the last look: (7, N), (N, B), (N, B)
    double* vitals;  // (4, N) behind the last update, see `Worker::examine`
    double* worst;  // (4,) of all rows: the largest weight and loss, NaN where one is not finite; 0, or NaN where a
                    // gradient, a moment or a logit is not finite; how many players are constant
    void* fake;  // (N, B, features), what G made for the last look, or null
};

}  // extern "C"
