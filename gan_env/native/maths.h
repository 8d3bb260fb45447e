// exp, log1p and tanh of our own, so that every machine rounds them alike; good to about one unit in the last place.
#pragma once

#include "lanes.h"

namespace {

template <class T>
struct Constants;

template <>
struct Constants<float> {
    static constexpr float LOG2E = 1.44269504f, MAGIC = 12582912.0f, BIASED = 12582912.0f + 127.0f, LEAST = -87.0f;
    // ln 2 in two pieces, the first with so few bits that its product with a whole number is exact.
    static constexpr float LN2_HIGH = 0.693145752f, LN2_LOW = 1.42860677e-6f;
    // (e^r - 1 - r) / r^2 = 1/2 + r/6 + ..., by Taylor: |r| <= ln 2 / 2.
    static constexpr int EXP_TERMS = 6, LOG_TERMS = 5;
};

template <>
struct Constants<double> {
    static constexpr double LOG2E = 1.4426950408889634, MAGIC = 6755399441055744.0, BIASED = MAGIC + 1023.0;
    static constexpr double LEAST = -708.0;
    static constexpr double LN2_HIGH = 6.93147180369123816490e-01, LN2_LOW = 1.90821492927058770002e-10;
    static constexpr int EXP_TERMS = 12, LOG_TERMS = 11;
};

// 1 / 2!, 1 / 3!, ...
constexpr double FACTORIALS[] = {1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
                                 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};

// e^x = scale (1 + rest) for x <= 0; below `LEAST`, where it would be nothing, it is that of `LEAST`.
template <class T, class V>
INLINE void split_exp(V x, V& scale, V& rest) {
    using C = Constants<T>;
    const V shifted = fma(x, all(C::LOG2E), all(C::BIASED));
    const V whole = shifted - all(C::BIASED);
    const V r = fma(whole, all(T(-C::LN2_LOW)), fma(whole, all(T(-C::LN2_HIGH)), x));
    V p = all(T(FACTORIALS[C::EXP_TERMS - 1]));
    UNROLLED for (int k = C::EXP_TERMS - 2; k >= 0; --k) p = fma(p, r, all(T(FACTORIALS[k])));
    scale = to_exponent(shifted);
    rest = fma(p, r * r, r);
}

// e^-|x|, 0 where that is below about 1e-38 or 1e-308.
template <class T, class V>
INLINE V exp_minus_abs(V x) {
    const V zero = all(T(0)), least = all(Constants<T>::LEAST), down = if_greater(x, zero, zero - x, x);
    V scale, rest;
    split_exp<T>(if_greater(least, down, least, down), scale, rest);
    return if_greater(least, down, zero, fma(scale, rest, scale));
}

// log(1 + x) for 0 <= x <= 1.
template <class T, class V>
INLINE V log1p_within_1(V x) {
    const V one = all(T(1)), zero = all(T(0)), split = all(T(0.41421356237309503));
    // 1 + x = 2^k (1 + f) with k 0 or 1; f is exact.
    const V f = if_greater(x, split, (x - one) * all(T(0.5)), x);
    const V k = if_greater(x, split, one, zero);
    const V s = f / (f + all(T(2))), square = s * s;
    V p = all(T(2.0 / (2 * Constants<T>::LOG_TERMS + 1)));
    UNROLLED for (int n = Constants<T>::LOG_TERMS - 1; n >= 1; --n)
        p = fma(p, square, all(T(2.0 / (2 * n + 1))));
    // log(1 + f) = 2 s + s^3 p, and 2 s = f - s f
    const V log = fma(s, square * p - f, f);
    return fma(k, all(Constants<T>::LN2_HIGH), fma(k, all(Constants<T>::LN2_LOW), log));
}

template <class T, class V>
INLINE V softplus(V x) {  // as torch's, which gives x itself beyond 20
    const V zero = all(T(0)), beyond = if_at_most(x, zero, zero, x);
    return if_greater(x, all(T(20)), x, beyond + log1p_within_1<T>(exp_minus_abs<T>(x)));
}

template <class T, class V>
INLINE V sigmoid(V x) {
    const V e = exp_minus_abs<T>(x), one = all(T(1)), r = one / (one + e);
    return if_greater(x, all(T(0)), r, e * r);
}

template <class T, class V>
INLINE V tanh_of(V x) {  // (1 - e^-2|x|) / (1 + e^-2|x|), by e^y - 1
    const V zero = all(T(0)), one = all(T(1)), least = all(Constants<T>::LEAST);
    const V down = if_greater(x, zero, zero - x, x) * all(T(2));
    V scale, rest;
    split_exp<T>(if_greater(least, down, least, down), scale, rest);
    const V less = fma(scale, rest, scale - one);  // e^-2|x| - 1
    const V made = (zero - less) / (less + all(T(2)));
    return if_greater(x, zero, made, zero - made);
}

}  // namespace
