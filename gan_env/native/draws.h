// The draws of `gan_env.streams` and `gan_env.feed`, bit for bit as NumPy makes them: blake2b makes a key of seed,
// episode, purpose and number; Philox makes words of the key; normals come by the ziggurat.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "lanes.h"
#include "ziggurat.h"

namespace {

// The 128 bits of `streams.key`: BLAKE2b (RFC 7693) of four numbers, one block and no secret.
struct Key {
    uint64_t low, high;
};

inline uint64_t turned(uint64_t x, int by) { return x >> by | x << (64 - by); }

inline Key key_of(int64_t seed, int64_t episode, int64_t purpose, int64_t number) {
    constexpr uint64_t START[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                                   0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    constexpr uint8_t ORDER[10][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
        {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
        {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
        {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
        {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};
    const uint64_t word[16] = {uint64_t(seed), uint64_t(episode), uint64_t(purpose), uint64_t(number)};
    uint64_t v[16];
    for (int i = 0; i < 8; ++i) v[i] = v[i + 8] = START[i];
    v[0] ^= 0x01010000 ^ 16;  // 16 bytes are wanted
    const uint64_t first[2] = {v[0], v[1]};
    v[12] ^= 32;     // bytes so far
    v[14] = ~v[14];  // the last block
    auto mix = [&](int a, int b, int c, int d, uint64_t x, uint64_t y) {
        v[a] += v[b] + x, v[d] = turned(v[d] ^ v[a], 32), v[c] += v[d], v[b] = turned(v[b] ^ v[c], 24);
        v[a] += v[b] + y, v[d] = turned(v[d] ^ v[a], 16), v[c] += v[d], v[b] = turned(v[b] ^ v[c], 63);
    };
    for (int round = 0; round < 12; ++round) {
        const uint8_t* s = ORDER[round % 10];
        for (int i = 0; i < 4; ++i) mix(i, i + 4, i + 8, i + 12, word[s[2 * i]], word[s[2 * i + 1]]);
        for (int i = 0; i < 4; ++i)
            mix(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12, word[s[8 + 2 * i]], word[s[9 + 2 * i]]);
    }
    return {first[0] ^ v[0] ^ v[8], first[1] ^ v[1] ^ v[9]};
}

inline double bits_to_double(uint64_t bits) {
    double made;
    memcpy(&made, &bits, 8);
    return made;
}

inline uint64_t double_bits(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    return bits;
}

inline float bits_to_float(uint32_t bits) {
    float made;
    memcpy(&made, &bits, 4);
    return made;
}

inline uint32_t float_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

// The ziggurat's tables as they are read. Made by the compiler: code that runs when the library is loaded would be
// compiled for each instruction set too, and a processor that lacks one could not load the library at all.
struct Ziggurat {
    double width[256]{}, height[256]{};
    float float_width[256]{}, float_height[256]{};
    uint32_t float_inside[256]{};
    constexpr Ziggurat() {
        for (int i = 0; i < 256; ++i) {
            width[i] = __builtin_bit_cast(double, ZIGGURAT_WIDTH[i]);
            height[i] = __builtin_bit_cast(double, ZIGGURAT_HEIGHT[i]);
            float_width[i] = float(width[i] * 536870912.0), float_height[i] = float(height[i]);
            float_inside[i] = uint32_t((ZIGGURAT_INSIDE[i] + (1u << 28)) >> 29);
        }
    }
};
constexpr Ziggurat ziggurat;

constexpr double ZIGGURAT_R = 3.6541528853610087963519472518, ZIGGURAT_INVERSE_R = 0.27366123732975827203338247596;

// Words of Philox side by side. Where eight fit a register, products of 64 bits are made of
// four of 32, quicker than the processor's own for one.
#if defined(__AVX512F__)
struct Words { __m512i v; };
constexpr int GROUPS = 2, WIDE = 16;
INLINE Words same(uint64_t x) { return {_mm512_set1_epi64(int64_t(x))}; }
INLINE Words counted(uint64_t x) {
    return {_mm512_add_epi64(_mm512_set1_epi64(int64_t(x)), _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0))};
}
INLINE Words operator^(Words a, Words b) { return {_mm512_xor_si512(a.v, b.v)}; }
INLINE Words operator+(Words a, Words b) { return {_mm512_add_epi64(a.v, b.v)}; }
INLINE Words above(Words a) { return {_mm512_srli_epi64(a.v, 32)}; }
INLINE Words raised(Words a) { return {_mm512_slli_epi64(a.v, 32)}; }
INLINE Words below(Words a) { return {_mm512_and_si512(a.v, _mm512_set1_epi64(0xffffffff))}; }
INLINE Words small_product(Words a, Words b) { return {_mm512_mul_epu32(a.v, b.v)}; }
INLINE void put_counts(const Words* c, uint32_t* out) {
    const __m512i pieces[4] = {_mm512_unpacklo_epi64(c[0].v, c[1].v), _mm512_unpacklo_epi64(c[2].v, c[3].v),
                               _mm512_unpackhi_epi64(c[0].v, c[1].v), _mm512_unpackhi_epi64(c[2].v, c[3].v)};
    for (int k = 0; k < 4; ++k) {
        uint32_t* at = out + 4 * k;
        _mm_storeu_si128((__m128i*)(at), _mm512_extracti32x4_epi32(pieces[k], 0));
        _mm_storeu_si128((__m128i*)(at + 16), _mm512_extracti32x4_epi32(pieces[k], 1));
        _mm_storeu_si128((__m128i*)(at + 32), _mm512_extracti32x4_epi32(pieces[k], 2));
        _mm_storeu_si128((__m128i*)(at + 48), _mm512_extracti32x4_epi32(pieces[k], 3));
    }
}
INLINE Words product(Words a, uint64_t b, Words& high) {
    const Words b_low = same(b & 0xffffffff), b_high = same(b >> 32), a_high = above(a);
    const Words low = small_product(a, b_low), cross = small_product(a_high, b_low) + above(low);
    const Words other = small_product(a, b_high) + below(cross);
    high = small_product(a_high, b_high) + above(cross) + above(other);
    return raised(other) ^ below(low);
}
#else
using Words = uint64_t;
constexpr int GROUPS = 4, WIDE = 4;
INLINE Words same(uint64_t x) { return x; }
INLINE Words counted(uint64_t x) { return x; }
INLINE Words product(Words a, uint64_t b, Words& high) {
    const unsigned __int128 made = (unsigned __int128)(a) * b;
    high = uint64_t(made >> 64);
    return uint64_t(made);
}
INLINE void put_counts(const Words* c, uint32_t* out) { memcpy(out, c, 32); }
#endif

// Philox4x64-10 (Salmon et al. 2011, doi:10.1145/2063384.2063405) as NumPy counts it, and what NumPy makes of its words.
class Generator {
public:
    explicit Generator(Key key) : key_(key) {}

    // Goes on behind so many words, of a generator that has given none; the first ones need not be made.
    void skip(uint64_t words) {
        count_ = words / 4;
        for (uint64_t i = 0; i < words % 4; ++i) next64();
    }

    uint64_t next64() {
        if (at_ + 2 > HALVES) refill();
        uint64_t word;
        memcpy(&word, half_ + at_, 8);
        at_ += 2;
        return word;
    }
    double uniform() { return double(next64() >> 11) * (1.0 / 9007199254740992.0); }
    double normal() {
        for (;;) {
            const uint64_t word = next64(), place = word >> 9 & 0x000fffffffffffff;
            const int strip = word & 0xff;
            const double x = bits_to_double(double_bits(double(place) * ziggurat.width[strip]) | (word >> 8 & 1) << 63);
            if (__builtin_expect(place < ZIGGURAT_INSIDE[strip], 1)) return x;
            if (strip == 0) {
                for (;;) {
                    const double xx = -ZIGGURAT_INVERSE_R * log1p(-uniform()), yy = -log1p(-uniform());
                    if (yy + yy > xx * xx) return place >> 8 & 1 ? -(ZIGGURAT_R + xx) : ZIGGURAT_R + xx;
                }
            }
            const double step = ziggurat.height[strip - 1] - ziggurat.height[strip];
            if (step * uniform() + ziggurat.height[strip] < exp(-0.5 * x * x)) return x;
        }
    }

    // Of floats each takes half a word, the low one first. No draw takes floats and doubles.
    uint32_t next32() {
        if (at_ == HALVES) refill();
        return half_[at_++];
    }
    float uniform_float() { return float(next32() >> 8) * (1.0f / 16777216.0f); }
    float normal_float() {
        for (;;) {
            const uint32_t word = next32(), place = word >> 9;
            const int strip = word & 0xff;
            const float x = bits_to_float(float_bits(float(place) * ziggurat.float_width[strip]) | (word >> 8 & 1) << 31);
            if (__builtin_expect(place < ziggurat.float_inside[strip], 1)) return x;
            if (strip == 0) {
                for (;;) {
                    const float scale = -float(ZIGGURAT_INVERSE_R);
                    const float xx = scale * log1pf(-uniform_float()), yy = -log1pf(-uniform_float());
                    if (yy + yy > xx * xx) return place >> 8 & 1 ? -(float(ZIGGURAT_R) + xx) : float(ZIGGURAT_R) + xx;
                }
            }
            const float step = ziggurat.float_height[strip - 1] - ziggurat.float_height[strip];
            if (step * uniform_float() + ziggurat.float_height[strip] < exp(-0.5 * x * x)) return x;
        }
    }

#if defined(__AVX512F__)
    // Up to sixteen of the next normals at once, as many as need no second look, and then one that does; returns how many.
    int normal_floats(float* out) {
        if (at_ + 16 > HALVES) {
            *out = normal_float();
            return 1;
        }
        const __m512i word = _mm512_loadu_si512(half_ + at_), place = _mm512_srli_epi32(word, 9);
        const __m512 width = looked_up(ziggurat.float_width, word);
        const __m512i inside = _mm512_castps_si512(looked_up((const float*)ziggurat.float_inside, word));
        const __m512i sign = _mm512_and_si512(_mm512_slli_epi32(word, 23), _mm512_set1_epi32(int(0x80000000)));
        const __m512i x = _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(place), width));
        _mm512_storeu_si512(out, _mm512_or_si512(x, sign));
        const unsigned beyond = _mm512_cmpge_epi32_mask(place, inside);
        if (__builtin_expect(!beyond, 1)) {
            at_ += 16;
            return 16;
        }
        const int good = __builtin_ctz(beyond);
        at_ += good;
        out[good] = normal_float();
        return good + 1;
    }
    // table[word & 255] of each lane, the table of 256.
    static __m512 looked_up(const float* table, __m512i word) {
        __m512 part[8];
        UNROLLED for (int k = 0; k < 8; ++k)
            part[k] = _mm512_permutex2var_ps(_mm512_loadu_ps(table + 32 * k), word, _mm512_loadu_ps(table + 32 * k + 16));
        const __mmask16 a = _mm512_test_epi32_mask(word, _mm512_set1_epi32(32));
        const __mmask16 b = _mm512_test_epi32_mask(word, _mm512_set1_epi32(64));
        const __mmask16 c = _mm512_test_epi32_mask(word, _mm512_set1_epi32(128));
        UNROLLED for (int k = 0; k < 4; ++k) part[k] = _mm512_mask_blend_ps(a, part[2 * k], part[2 * k + 1]);
        UNROLLED for (int k = 0; k < 2; ++k) part[k] = _mm512_mask_blend_ps(b, part[2 * k], part[2 * k + 1]);
        return _mm512_mask_blend_ps(c, part[0], part[1]);
    }
#endif

private:
    static constexpr int HALVES = 256;

    void refill() {
        for (int at = 0; at < HALVES; at += 8 * WIDE) philox(half_ + at);
        at_ = 0;
    }

    // `WIDE` counts at once: their words, count by count.
    void philox(uint32_t* out) {
        constexpr uint64_t LOW_STEP = 0x9E3779B97F4A7C15, HIGH_STEP = 0xBB67AE8584CAA73B;
        constexpr uint64_t FIRST = 0xD2E7470EE14C6C93, SECOND = 0xCA5A826395121157;
        uint64_t low = key_.low, high = key_.high;
        Words c[GROUPS][4];
        UNROLLED for (int i = 0; i < GROUPS; ++i) {
            c[i][0] = counted(count_ + 1 + i * (WIDE / GROUPS)), c[i][1] = c[i][2] = c[i][3] = same(0);
        }
        count_ += WIDE;
        UNROLLED for (int round = 0; round < 10; ++round) {
            const Words a_key = same(low), b_key = same(high);
            UNROLLED for (int i = 0; i < GROUPS; ++i) {
                Words a_high, b_high;
                const Words a = product(c[i][0], FIRST, a_high), b = product(c[i][2], SECOND, b_high);
                c[i][0] = b_high ^ c[i][1] ^ a_key, c[i][1] = b;
                c[i][2] = a_high ^ c[i][3] ^ b_key, c[i][3] = a;
            }
            low += LOW_STEP, high += HIGH_STEP;
        }
        UNROLLED for (int i = 0; i < GROUPS; ++i) put_counts(c[i], out + i * 8 * (WIDE / GROUPS));
    }

    Key key_;
    uint64_t count_ = 0;
    uint32_t half_[HALVES];
    int at_ = HALVES;
};

inline void fill_normal(Generator& from, float* out, int64_t count) {
    int64_t i = 0;
#if defined(__AVX512F__)
    while (i + 16 <= count) i += from.normal_floats(out + i);
#endif
    for (; i < count; ++i) out[i] = from.normal_float();
}

inline void fill_uniform(Generator& from, float* out, int64_t count) {
    for (int64_t i = 0; i < count; ++i) out[i] = from.uniform_float();
}

// `PlaneData.codes` of a `GaussianMixture`: places of all points, then their noise.
inline void fill_mixture(Generator& from, const double* centres, int64_t modes, double std, float* out, int64_t points) {
    Generator noise = from;
    noise.skip(points);
    for (int64_t i = 0; i < points; ++i) {
        const double* centre = centres + 2 * int64_t(from.uniform() * double(modes));
        out[2 * i] = float(centre[0] + std * noise.normal());
        out[2 * i + 1] = float(centre[1] + std * noise.normal());
    }
}

}  // namespace
