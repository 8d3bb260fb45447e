// Sixteen floats or eight doubles, whatever the processor's registers hold: the order of every sum is the same on all.
//
// A multiplication that is followed by an addition is one rounding (`fma`) here exactly where it is written so, because
// the compiler is told to contract nothing. Sums over lanes go by one tree: lane l takes in lane l + 8, then l + 4,
// l + 2, l + 1 (doubles begin with 4).
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES_ISA "avx512"
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define LANES_ISA "avx2"
#elif defined(__aarch64__)
#include <arm_neon.h>
#define LANES_ISA "neon"
#else
#define LANES_ISA "plain"
#endif

// Loops of a fixed few turns: GCC keeps their arrays in registers only if it is told to.
#if defined(__AVX2__) || defined(__aarch64__)
#define UNROLLED _Pragma("GCC unroll 16")
#else
#define UNROLLED
#endif
#define INLINED inline __attribute__((always_inline))
#define INLINE static INLINED

namespace {

#if defined(__AVX512F__)

struct VF { __m512 v; };
struct VD { __m512d v; };

INLINE VF load(const float* p) { return {_mm512_loadu_ps(p)}; }
INLINE VD load(const double* p) { return {_mm512_loadu_pd(p)}; }
INLINE void store(float* p, VF a) { _mm512_storeu_ps(p, a.v); }
INLINE void store(double* p, VD a) { _mm512_storeu_pd(p, a.v); }
INLINE VF all(float x) { return {_mm512_set1_ps(x)}; }
INLINE VD all(double x) { return {_mm512_set1_pd(x)}; }
INLINE VF fma(VF a, VF b, VF c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
INLINE VD fma(VD a, VD b, VD c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
INLINE VF operator+(VF a, VF b) { return {_mm512_add_ps(a.v, b.v)}; }
INLINE VD operator+(VD a, VD b) { return {_mm512_add_pd(a.v, b.v)}; }
INLINE VF operator-(VF a, VF b) { return {_mm512_sub_ps(a.v, b.v)}; }
INLINE VD operator-(VD a, VD b) { return {_mm512_sub_pd(a.v, b.v)}; }
INLINE VF operator*(VF a, VF b) { return {_mm512_mul_ps(a.v, b.v)}; }
INLINE VD operator*(VD a, VD b) { return {_mm512_mul_pd(a.v, b.v)}; }
INLINE VF operator/(VF a, VF b) { return {_mm512_div_ps(a.v, b.v)}; }
INLINE VD operator/(VD a, VD b) { return {_mm512_div_pd(a.v, b.v)}; }
INLINE VF root(VF a) { return {_mm512_sqrt_ps(a.v)}; }
INLINE VD root(VD a) { return {_mm512_sqrt_pd(a.v)}; }
INLINE VF if_greater(VF x, VF y, VF yes, VF no) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, y.v, _CMP_GT_OQ), no.v, yes.v)};
}
INLINE VD if_greater(VD x, VD y, VD yes, VD no) {
    return {_mm512_mask_blend_pd(_mm512_cmp_pd_mask(x.v, y.v, _CMP_GT_OQ), no.v, yes.v)};
}
INLINE VF if_at_most(VF x, VF y, VF yes, VF no) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, y.v, _CMP_LE_OQ), no.v, yes.v)};
}
INLINE VD if_at_most(VD x, VD y, VD yes, VD no) {
    return {_mm512_mask_blend_pd(_mm512_cmp_pd_mask(x.v, y.v, _CMP_LE_OQ), no.v, yes.v)};
}
INLINE VF to_exponent(VF a) { return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a.v), 23))}; }
INLINE VD to_exponent(VD a) { return {_mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(a.v), 52))}; }
INLINE float sum(VF a) {
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a.v),
                             _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.v), 1)));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}
INLINE double sum(VD a) {
    __m256d h = _mm256_add_pd(_mm512_castpd512_pd256(a.v), _mm512_extractf64x4_pd(a.v, 1));
    __m128d q = _mm_add_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
    return _mm_cvtsd_f64(_mm_add_sd(q, _mm_unpackhi_pd(q, q)));
}
// out[4 j + q] = sum(x[4 q + j]): sixteen sums at once, by shuffles of pairs.
INLINE void sums(const VF* x, float* out) {
    __m512 y[8], z[4], w[2];
    for (int k = 0; k < 8; ++k)
        y[k] = _mm512_add_ps(_mm512_shuffle_f32x4(x[2 * k].v, x[2 * k + 1].v, 0x44),
                             _mm512_shuffle_f32x4(x[2 * k].v, x[2 * k + 1].v, 0xEE));
    for (int k = 0; k < 4; ++k)
        z[k] = _mm512_add_ps(_mm512_shuffle_f32x4(y[2 * k], y[2 * k + 1], 0x88),
                             _mm512_shuffle_f32x4(y[2 * k], y[2 * k + 1], 0xDD));
    for (int k = 0; k < 2; ++k)
        w[k] = _mm512_add_ps(_mm512_shuffle_ps(z[2 * k], z[2 * k + 1], 0x44),
                             _mm512_shuffle_ps(z[2 * k], z[2 * k + 1], 0xEE));
    _mm512_storeu_ps(out, _mm512_add_ps(_mm512_shuffle_ps(w[0], w[1], 0x88), _mm512_shuffle_ps(w[0], w[1], 0xDD)));
}
INLINE void sums(const VD* x, double* out) {
    for (int k = 0; k < 16; ++k) out[4 * (k % 4) + k / 4] = sum(x[k]);
}
constexpr int COLUMN_BLOCK = 4;  // vectors of samples that a dense layer's block holds, beside four outputs
constexpr int PRODUCT_BLOCK = 4;  // a weight gradient's block holds four times so many sums

#else  // registers of 32 or 16 bytes, or numbers one by one

#if defined(__AVX2__) && defined(__FMA__)

struct PF { __m256 v; };
struct PD { __m256d v; };
constexpr int F_PARTS = 2, D_PARTS = 2, F_WIDTH = 8, D_WIDTH = 4;
INLINE PF part(const float* p) { return {_mm256_loadu_ps(p)}; }
INLINE PD part(const double* p) { return {_mm256_loadu_pd(p)}; }
INLINE void put(float* p, PF a) { _mm256_storeu_ps(p, a.v); }
INLINE void put(double* p, PD a) { _mm256_storeu_pd(p, a.v); }
INLINE PF spread(float x) { return {_mm256_set1_ps(x)}; }
INLINE PD spread(double x) { return {_mm256_set1_pd(x)}; }
INLINE PF fma(PF a, PF b, PF c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
INLINE PD fma(PD a, PD b, PD c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
INLINE PF operator+(PF a, PF b) { return {_mm256_add_ps(a.v, b.v)}; }
INLINE PD operator+(PD a, PD b) { return {_mm256_add_pd(a.v, b.v)}; }
INLINE PF operator-(PF a, PF b) { return {_mm256_sub_ps(a.v, b.v)}; }
INLINE PD operator-(PD a, PD b) { return {_mm256_sub_pd(a.v, b.v)}; }
INLINE PF operator*(PF a, PF b) { return {_mm256_mul_ps(a.v, b.v)}; }
INLINE PD operator*(PD a, PD b) { return {_mm256_mul_pd(a.v, b.v)}; }
INLINE PF operator/(PF a, PF b) { return {_mm256_div_ps(a.v, b.v)}; }
INLINE PD operator/(PD a, PD b) { return {_mm256_div_pd(a.v, b.v)}; }
INLINE PF root(PF a) { return {_mm256_sqrt_ps(a.v)}; }
INLINE PD root(PD a) { return {_mm256_sqrt_pd(a.v)}; }
INLINE PF if_greater(PF x, PF y, PF yes, PF no) {
    return {_mm256_blendv_ps(no.v, yes.v, _mm256_cmp_ps(x.v, y.v, _CMP_GT_OQ))};
}
INLINE PD if_greater(PD x, PD y, PD yes, PD no) {
    return {_mm256_blendv_pd(no.v, yes.v, _mm256_cmp_pd(x.v, y.v, _CMP_GT_OQ))};
}
INLINE PF if_at_most(PF x, PF y, PF yes, PF no) {
    return {_mm256_blendv_ps(no.v, yes.v, _mm256_cmp_ps(x.v, y.v, _CMP_LE_OQ))};
}
INLINE PD if_at_most(PD x, PD y, PD yes, PD no) {
    return {_mm256_blendv_pd(no.v, yes.v, _mm256_cmp_pd(x.v, y.v, _CMP_LE_OQ))};
}
INLINE PF to_exponent(PF a) { return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.v), 23))}; }
INLINE PD to_exponent(PD a) { return {_mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(a.v), 52))}; }
constexpr int COLUMN_BLOCK = 1, PRODUCT_BLOCK = 2;

#elif defined(__aarch64__)

struct PF { float32x4_t v; };
struct PD { float64x2_t v; };
constexpr int F_PARTS = 4, D_PARTS = 4, F_WIDTH = 4, D_WIDTH = 2;
INLINE PF part(const float* p) { return {vld1q_f32(p)}; }
INLINE PD part(const double* p) { return {vld1q_f64(p)}; }
INLINE void put(float* p, PF a) { vst1q_f32(p, a.v); }
INLINE void put(double* p, PD a) { vst1q_f64(p, a.v); }
INLINE PF spread(float x) { return {vdupq_n_f32(x)}; }
INLINE PD spread(double x) { return {vdupq_n_f64(x)}; }
INLINE PF fma(PF a, PF b, PF c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
INLINE PD fma(PD a, PD b, PD c) { return {vfmaq_f64(c.v, a.v, b.v)}; }
INLINE PF operator+(PF a, PF b) { return {vaddq_f32(a.v, b.v)}; }
INLINE PD operator+(PD a, PD b) { return {vaddq_f64(a.v, b.v)}; }
INLINE PF operator-(PF a, PF b) { return {vsubq_f32(a.v, b.v)}; }
INLINE PD operator-(PD a, PD b) { return {vsubq_f64(a.v, b.v)}; }
INLINE PF operator*(PF a, PF b) { return {vmulq_f32(a.v, b.v)}; }
INLINE PD operator*(PD a, PD b) { return {vmulq_f64(a.v, b.v)}; }
INLINE PF operator/(PF a, PF b) { return {vdivq_f32(a.v, b.v)}; }
INLINE PD operator/(PD a, PD b) { return {vdivq_f64(a.v, b.v)}; }
INLINE PF root(PF a) { return {vsqrtq_f32(a.v)}; }
INLINE PD root(PD a) { return {vsqrtq_f64(a.v)}; }
INLINE PF if_greater(PF x, PF y, PF yes, PF no) { return {vbslq_f32(vcgtq_f32(x.v, y.v), yes.v, no.v)}; }
INLINE PD if_greater(PD x, PD y, PD yes, PD no) { return {vbslq_f64(vcgtq_f64(x.v, y.v), yes.v, no.v)}; }
INLINE PF if_at_most(PF x, PF y, PF yes, PF no) { return {vbslq_f32(vcleq_f32(x.v, y.v), yes.v, no.v)}; }
INLINE PD if_at_most(PD x, PD y, PD yes, PD no) { return {vbslq_f64(vcleq_f64(x.v, y.v), yes.v, no.v)}; }
INLINE PF to_exponent(PF a) { return {vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(a.v), 23))}; }
INLINE PD to_exponent(PD a) { return {vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(a.v), 52))}; }
constexpr int COLUMN_BLOCK = 1, PRODUCT_BLOCK = 1;

#else

struct PF { float v; };
struct PD { double v; };
constexpr int F_PARTS = 16, D_PARTS = 8, F_WIDTH = 1, D_WIDTH = 1;
INLINE PF part(const float* p) { return {*p}; }
INLINE PD part(const double* p) { return {*p}; }
INLINE void put(float* p, PF a) { *p = a.v; }
INLINE void put(double* p, PD a) { *p = a.v; }
INLINE PF spread(float x) { return {x}; }
INLINE PD spread(double x) { return {x}; }
INLINE PF fma(PF a, PF b, PF c) { return {__builtin_fmaf(a.v, b.v, c.v)}; }  // in software where there is no other
INLINE PD fma(PD a, PD b, PD c) { return {__builtin_fma(a.v, b.v, c.v)}; }
INLINE PF operator+(PF a, PF b) { return {a.v + b.v}; }
INLINE PD operator+(PD a, PD b) { return {a.v + b.v}; }
INLINE PF operator-(PF a, PF b) { return {a.v - b.v}; }
INLINE PD operator-(PD a, PD b) { return {a.v - b.v}; }
INLINE PF operator*(PF a, PF b) { return {a.v * b.v}; }
INLINE PD operator*(PD a, PD b) { return {a.v * b.v}; }
INLINE PF operator/(PF a, PF b) { return {a.v / b.v}; }
INLINE PD operator/(PD a, PD b) { return {a.v / b.v}; }
INLINE PF root(PF a) { return {__builtin_sqrtf(a.v)}; }
INLINE PD root(PD a) { return {__builtin_sqrt(a.v)}; }
INLINE PF if_greater(PF x, PF y, PF yes, PF no) { return x.v > y.v ? yes : no; }
INLINE PD if_greater(PD x, PD y, PD yes, PD no) { return x.v > y.v ? yes : no; }
INLINE PF if_at_most(PF x, PF y, PF yes, PF no) { return x.v <= y.v ? yes : no; }
INLINE PD if_at_most(PD x, PD y, PD yes, PD no) { return x.v <= y.v ? yes : no; }
INLINE PF to_exponent(PF a) {
    uint32_t bits;
    memcpy(&bits, &a.v, 4);
    bits <<= 23;
    memcpy(&a.v, &bits, 4);
    return a;
}
INLINE PD to_exponent(PD a) {
    uint64_t bits;
    memcpy(&bits, &a.v, 8);
    bits <<= 52;
    memcpy(&a.v, &bits, 8);
    return a;
}
constexpr int COLUMN_BLOCK = 1, PRODUCT_BLOCK = 1;

#endif

template <class T, class P, int PARTS, int WIDTH>
struct Parts {
    P part[PARTS];
};
using VF = Parts<float, PF, F_PARTS, F_WIDTH>;
using VD = Parts<double, PD, D_PARTS, D_WIDTH>;

#define EACH(V, expression)                                      \
    V made;                                                      \
    UNROLLED for (int k = 0; k < PARTS; ++k) made.part[k] = expression; \
    return made

#define OF_PARTS template <class T, class P, int PARTS, int WIDTH>
#define VP Parts<T, P, PARTS, WIDTH>

INLINE VF load(const float* p) {
    constexpr int PARTS = F_PARTS;
    EACH(VF, part(p + k * F_WIDTH));
}
INLINE VD load(const double* p) {
    constexpr int PARTS = D_PARTS;
    EACH(VD, part(p + k * D_WIDTH));
}
INLINE VF all(float x) {
    constexpr int PARTS = F_PARTS;
    EACH(VF, spread(x));
}
INLINE VD all(double x) {
    constexpr int PARTS = D_PARTS;
    EACH(VD, spread(x));
}
OF_PARTS INLINE void store(T* p, const VP& a) {
    UNROLLED for (int k = 0; k < PARTS; ++k) put(p + k * WIDTH, a.part[k]);
}
OF_PARTS INLINE VP fma(const VP& a, const VP& b, const VP& c) { EACH(VP, fma(a.part[k], b.part[k], c.part[k])); }
OF_PARTS INLINE VP operator+(const VP& a, const VP& b) { EACH(VP, a.part[k] + b.part[k]); }
OF_PARTS INLINE VP operator-(const VP& a, const VP& b) { EACH(VP, a.part[k] - b.part[k]); }
OF_PARTS INLINE VP operator*(const VP& a, const VP& b) { EACH(VP, a.part[k] * b.part[k]); }
OF_PARTS INLINE VP operator/(const VP& a, const VP& b) { EACH(VP, a.part[k] / b.part[k]); }
OF_PARTS INLINE VP root(const VP& a) { EACH(VP, root(a.part[k])); }
OF_PARTS INLINE VP to_exponent(const VP& a) { EACH(VP, to_exponent(a.part[k])); }
OF_PARTS INLINE VP if_greater(const VP& x, const VP& y, const VP& yes, const VP& no) {
    EACH(VP, if_greater(x.part[k], y.part[k], yes.part[k], no.part[k]));
}
OF_PARTS INLINE VP if_at_most(const VP& x, const VP& y, const VP& yes, const VP& no) {
    EACH(VP, if_at_most(x.part[k], y.part[k], yes.part[k], no.part[k]));
}
OF_PARTS INLINE T sum(const VP& a) {
    T lane[PARTS * WIDTH];
    store(lane, a);
    for (int half = PARTS * WIDTH / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
    return lane[0];
}
OF_PARTS INLINE void sums(const VP* x, T* out) {
    for (int k = 0; k < 16; ++k) out[4 * (k % 4) + k / 4] = sum(x[k]);
}

#undef EACH
#undef OF_PARTS
#undef VP
#endif

template <class T>
struct Of;
template <>
struct Of<float> {
    using V = VF;
    static constexpr int LANES = 16;
};
template <>
struct Of<double> {
    using V = VD;
    static constexpr int LANES = 8;
};

}  // namespace
