// Exact linear assignment of n rows to n columns for a dense cost matrix, with dual potentials that certify it.
//
// The exact 1-Wasserstein distance of two equally large sets of points is such a problem. Three steps:
//   1. Identical columns (points that a collapsed generator repeats) become one column with a capacity.
//   2. A forward auction with epsilon scaling ends with column potentials, and an assignment, that are optimal within
//      the last epsilon, which is near the rounding of the costs.
//      Bertsekas 1988, "The auction algorithm"; capacities as in Bertsekas and Castanon 1989, "The auction algorithm
//      for the transportation problem".
//   3. Rows whose column is dearer than their cheapest by more than this, as they are if the auctions took too many bids
//      and were stopped, are assigned by shortest augmenting paths (Jonker and Volgenant 1987).
// Column potentials only fall, in both steps. So each row keeps a short list of its cheapest columns and a lower bound
// for all the others; the bound stays valid, and a row reads all its n costs again only when the bound is reached.
//
// Only additions, subtractions and comparisons of doubles, in a fixed order: the same bits on every machine.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__gnu_linux__)
#define EACH_INSTRUCTION_SET __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EACH_INSTRUCTION_SET
#endif

namespace {

constexpr double INFINITE = std::numeric_limits<double>::infinity();
constexpr int LANES = 64;  // columns j, j + LANES, ... share one minimum, by which a row's list is found
constexpr int LISTED_LANES = 40;  // lanes that a list draws from: at least so many columns are listed
constexpr double FIRST_EPSILON = 0.1;  // relative to the costs' spread
constexpr double EPSILON_FACTOR = 6;
constexpr double ROUNDING = 64 * std::numeric_limits<double>::epsilon();  // the last epsilon, relative to the costs
// Where many columns cost a row the same, a short list is soon used up. So once epsilon is below this share of the
// costs' spread, lists also hold what is within so many epsilon of the dearest that they must hold.
constexpr double LONG_LISTS_BELOW = 1e-3, LONG_LIST = 8;
constexpr int64_t BIDS_PER_ROW = 2000;  // the limit of one auction; augmenting paths finish what it leaves

// Writes cost - potential of a row's columns and the minimum of each lane.
EACH_INSTRUCTION_SET
void reduce(const double* cost, const double* potential, int columns, double* reduced, double* lane) {
    for (int t = 0; t < LANES; ++t) lane[t] = INFINITE;
    for (int start = 0; start < columns; start += LANES) {
        const int width = std::min(LANES, columns - start);
        for (int t = 0; t < width; ++t) {
            const double x = cost[start + t] - potential[start + t];
            reduced[start + t] = x;
            lane[t] = x < lane[t] ? x : lane[t];
        }
    }
}

// Lowers each potential to the row's cost.
EACH_INSTRUCTION_SET
void lower(const double* cost, int columns, double* potential) {
    for (int j = 0; j < columns; ++j) potential[j] = cost[j] < potential[j] ? cost[j] : potential[j];
}

struct Arc {
    double cost;
    int32_t column;
};

struct Event {  // of the search for a shortest path; equal keys are ordered by `id`
    double key;
    int32_t id;
    bool operator>(const Event& other) const { return key > other.key || (key == other.key && id > other.id); }
};

class Assignment {
public:
    Assignment(int rows, int columns, const double* cost, std::vector<int32_t> capacity)
        : n(rows), k(columns), cost(cost), capacity(std::move(capacity)), u(n), v(k, INFINITE), column_of(n, -1),
          place(n), rows_of(k), arcs(n), bound(n, -INFINITE), reduced(k), lane(LANES), sorted(LANES) {
        for (int i = 0; i < n; ++i) lower(row(i), k, v.data());
    }

    void solve() {
        scaled_auctions();
        const std::vector<int32_t> unassigned = assign_cheapest();
        distance.assign(k, INFINITE), previous.assign(k, -1), closed.assign(k, 0), reached_at.assign(n, 0);
        for (int i : unassigned) augment(i);
    }

    int column(int i) const { return column_of[i]; }
    double potential(int j) const { return v[j]; }

private:
    const int n, k;  // rows, columns; capacities add up to n
    const double* const cost;
    const std::vector<int32_t> capacity;
    std::vector<double> u, v;  // potentials: cost - u - v >= 0, and = 0 where assigned
    std::vector<int32_t> column_of, place;  // of each row: its column or -1, and its place among that column's rows
    std::vector<std::vector<int32_t>> rows_of;
    std::vector<std::vector<Arc>> arcs;  // each row's list of columns
    std::vector<double> bound;           // at most the cost - v of any column that is not listed
    std::vector<double> reduced, lane, sorted;
    double slack = 0;      // by which lists go further
    double tolerance = 0;  // by which an assigned column may be dearer than the cheapest
    std::vector<std::vector<Event>> bids;  // of the rows that hold each column, the lowest bid first
    std::vector<double> distance, reached_at;  // of the search: of columns, and of rows
    std::vector<int32_t> previous, touched, finished;
    std::vector<char> closed;
    std::vector<Event> events;

    const double* row(int i) const { return cost + static_cast<int64_t>(i) * k; }
    bool has_room(int j) const { return static_cast<int>(rows_of[j].size()) < capacity[j]; }

    void assign(int i, int j) {
        column_of[i] = j;
        place[i] = static_cast<int32_t>(rows_of[j].size());
        rows_of[j].push_back(i);
    }

    void release(int i) {
        auto& rows = rows_of[column_of[i]];
        rows[place[i]] = rows.back();
        place[rows.back()] = place[i];
        rows.pop_back();
        column_of[i] = -1;
    }

    // Reads all costs of a row; lists its cheapest columns. Returns the least cost - v.
    double list(int i) {
        const double* costs = row(i);
        reduce(costs, v.data(), k, reduced.data(), lane.data());
        sorted = lane;
        std::nth_element(sorted.begin(), sorted.begin() + LISTED_LANES, sorted.end());
        const double limit = sorted[LISTED_LANES] + slack;
        auto& listed = arcs[i];
        listed.clear();
        double least = INFINITE;
        for (int t = 0; t < std::min(LANES, k); ++t) {
            if (lane[t] > limit) continue;
            least = std::min(least, lane[t]);
            for (int j = t; j < k; j += LANES)
                if (reduced[j] <= limit) listed.push_back({costs[j], j});
        }
        bound[i] = static_cast<int>(listed.size()) == k ? INFINITE : limit;
        return least;
    }

    // Auctions with falling epsilon. Leaves potentials, the last auction's bids, and the epsilon that these are within.
    void scaled_auctions() {
        std::vector<double> spread(n);
        double largest = 0;
        for (int i = 0; i < n; ++i) {
            list(i);
            const auto [low, high] = std::minmax_element(reduced.begin(), reduced.end());
            spread[i] = *high - *low;
            largest = std::max({largest, std::abs(*low), std::abs(*high), std::abs(v[i % k])});
        }
        // The median row: neither one far row nor, by the columns' minima in v, one far column decides.
        std::nth_element(spread.begin(), spread.begin() + n / 2, spread.end());
        const double scale = spread[n / 2], last = ROUNDING * largest;
        int64_t bids_left = BIDS_PER_ROW * n;
        for (double epsilon = std::max(FIRST_EPSILON * scale, last);;
             epsilon = std::max(epsilon / EPSILON_FACTOR, last)) {
            slack = epsilon < LONG_LISTS_BELOW * scale ? LONG_LIST * epsilon : 0;
            if (!auction(epsilon, bids_left)) return;
            if (epsilon == last) break;
        }
        tolerance = last;
    }

    // Rows bid until each has a column. A full column costs its lowest bid, one with room its old price; v = -price.
    bool auction(double epsilon, int64_t& bids_left) {
        bids.assign(k, {});
        std::vector<int32_t> waiting(n);
        for (int i = 0; i < n; ++i) waiting[i] = n - 1 - i;
        while (!waiting.empty()) {
            if (--bids_left < 0) return false;
            const int i = waiting.back();
            waiting.pop_back();
            const auto [j, margin] = best_column(i);
            auto& held = bids[j];
            held.push_back({-v[j] + margin + epsilon, i});
            std::push_heap(held.begin(), held.end(), std::greater<>());
            if (static_cast<int>(held.size()) > capacity[j]) {
                std::pop_heap(held.begin(), held.end(), std::greater<>());
                waiting.push_back(held.back().id);
                held.pop_back();
            }
            if (static_cast<int>(held.size()) == capacity[j]) v[j] = std::min(v[j], -held.front().key);
        }
        return true;
    }

    // The column with the least cost - v, and by how much the next one is dearer.
    std::pair<int, double> best_column(int i) {
        while (true) {
            double first = INFINITE, second = INFINITE;
            int best = -1;
            for (const Arc& arc : arcs[i]) {
                const double x = arc.cost - v[arc.column];
                if (x < first) {
                    second = first, first = x, best = arc.column;
                } else if (x < second) {
                    second = x;
                }
            }
            if (second <= bound[i]) return {best, second < INFINITE ? second - first : 0};
            list(i);
        }
    }

    // Gives rows the column that they hold by their bid if it is cheapest within the tolerance, or else a cheapest one
    // with room; returns the rows that have none.
    std::vector<int32_t> assign_cheapest() {
        std::vector<int32_t> bought(n, -1), others, unassigned;
        for (int j = 0; j < static_cast<int>(bids.size()); ++j)
            for (const Event& bid : bids[j]) bought[bid.id] = j;
        for (int i = 0; i < n; ++i) {
            u[i] = list(i);
            if (bought[i] >= 0 && reduced[bought[i]] - u[i] <= tolerance) {
                u[i] = reduced[bought[i]];
                assign(i, bought[i]);
            } else {
                others.push_back(i);
            }
        }
        for (int i : others) {
            int found = -1;
            for (const Arc& arc : arcs[i])
                if (arc.cost - v[arc.column] == u[i] && has_room(arc.column) && (found < 0 || arc.column < found))
                    found = arc.column;
            if (found < 0) {
                unassigned.push_back(i);
            } else {
                assign(i, found);
            }
        }
        return unassigned;
    }

    void push(double key, int32_t id) {
        events.push_back({key, id});
        std::push_heap(events.begin(), events.end(), std::greater<>());
    }

    // Event ids: columns with room 0..k-1, full columns k..2k-1, rows whose list may be too short 2k..2k+n-1.
    void reach(int j, double at, int from) {
        if (closed[j] || !(at < distance[j])) return;
        if (distance[j] == INFINITE) touched.push_back(j);
        distance[j] = at;
        previous[j] = from;
        push(at, has_room(j) ? j : k + j);
    }

    void scan(int i, double at) {
        reached_at[i] = at;
        for (const Arc& arc : arcs[i]) reach(arc.column, (arc.cost - v[arc.column] - u[i]) + at, i);
        if (bound[i] < INFINITE) push((bound[i] - u[i]) + at, 2 * k + i);
    }

    void scan_all(int i) {
        const double* costs = row(i);
        for (int j = 0; j < k; ++j) reach(j, (costs[j] - v[j] - u[i]) + reached_at[i], i);
        list(i);
    }

    // Assigns one more row along the shortest path, by Dijkstra's algorithm, and keeps the potentials optimal.
    void augment(int start) {
        events.clear(), touched.clear(), finished.clear();
        scan(start, 0);
        int j = -1;
        while (true) {
            std::pop_heap(events.begin(), events.end(), std::greater<>());
            const Event event = events.back();
            events.pop_back();
            if (event.id >= 2 * k) {
                scan_all(event.id - 2 * k);
                continue;
            }
            j = event.id % k;
            if (closed[j] || event.key > distance[j]) continue;
            if (has_room(j)) break;
            closed[j] = 1;
            finished.push_back(j);
            for (int i : rows_of[j]) scan(i, distance[j]);
        }
        const double length = distance[j];
        u[start] += length;
        for (int full : finished) {
            const double change = length - distance[full];
            v[full] -= change;
            for (int i : rows_of[full]) u[i] += change;
        }
        while (true) {
            const int i = previous[j], left = column_of[i];
            if (i != start) release(i);
            assign(i, j);
            if (i == start) break;
            j = left;
        }
        for (int seen : touched) distance[seen] = INFINITE, closed[seen] = 0;
    }
};

// Numbers the distinct columns of an n x n matrix: the class of each column, classes in order of their first column.
std::vector<int32_t> column_classes(int n, const double* cost, std::vector<int32_t>& first_columns) {
    std::vector<int32_t> order(n), first_alike(n), classes(n);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return cost[a] < cost[b]; });
    const auto alike = [&](int a, int b) {
        for (int64_t i = 0; i < n; ++i)
            if (cost[i * n + a] != cost[i * n + b]) return false;
        return true;
    };
    std::vector<int32_t> distinct;  // those with the present cost in the first row
    for (int j : order) {
        if (!distinct.empty() && cost[distinct.front()] != cost[j]) distinct.clear();
        const auto found = std::find_if(distinct.begin(), distinct.end(), [&](int other) { return alike(other, j); });
        first_alike[j] = found == distinct.end() ? j : *found;
        if (found == distinct.end()) distinct.push_back(j);
    }
    for (int j = 0; j < n; ++j) {  // the sort is stable, so the first of its kind comes first
        if (first_alike[j] == j) {
            classes[j] = static_cast<int32_t>(first_columns.size());
            first_columns.push_back(j);
        } else {
            classes[j] = classes[first_alike[j]];
        }
    }
    return classes;
}

void solve(int n, const double* cost, int32_t* column_of_row, double* row_potential, double* column_potential) {
    std::vector<int32_t> firsts;
    const std::vector<int32_t> classes = column_classes(n, cost, firsts);
    const int k = static_cast<int>(firsts.size());
    std::vector<int32_t> capacity(k, 0);
    for (int32_t each : classes) ++capacity[each];
    std::vector<double> distinct;
    if (k < n) {
        distinct.resize(static_cast<int64_t>(n) * k);
        for (int64_t i = 0; i < n; ++i)
            for (int64_t c = 0; c < k; ++c) distinct[i * k + c] = cost[i * n + firsts[c]];
    }
    Assignment assignment(n, k, k < n ? distinct.data() : cost, capacity);
    assignment.solve();
    std::vector<std::vector<int32_t>> free_columns(k);
    for (int j = n - 1; j >= 0; --j) {
        free_columns[classes[j]].push_back(j);
        column_potential[j] = assignment.potential(classes[j]);
    }
    std::vector<double> reduced(n), lane(LANES);
    for (int64_t i = 0; i < n; ++i) {
        auto& columns = free_columns[assignment.column(static_cast<int>(i))];
        column_of_row[i] = columns.back();
        columns.pop_back();
        // Anew from the column potentials, so that rounding on the way cannot make an infeasible dual.
        reduce(cost + i * n, column_potential, n, reduced.data(), lane.data());
        row_potential[i] = *std::min_element(lane.begin(), lane.end());
    }
}

}  // namespace

// Finds the one-to-one assignment of least total cost.
//
// cost: (n, n), row-major, finite. Writes, for each row, its column, and potentials with row + column <= cost (to
// rounding) whose sum equals the least total cost. Returns 0, or 1 if n < 1 or a cost is not finite.
extern "C" int32_t assign_exactly(
    int32_t n, const double* cost, int32_t* column_of_row, double* row_potential, double* column_potential) {
    if (n < 1) return 1;
    for (int64_t i = 0; i < static_cast<int64_t>(n) * n; ++i)
        if (!std::isfinite(cost[i])) return 1;
    solve(n, cost, column_of_row, row_potential, column_potential);
    return 0;
}
