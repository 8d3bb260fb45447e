set -e
cd "$(dirname "$0")"
out=${1:-/tmp/native}; mkdir -p $out
F="-O3 -std=c++17 -fPIC -ffp-contract=off -fno-math-errno -fno-exceptions -fno-rtti -Wall -Wextra -Wno-psabi -Wno-maybe-uninitialized"
g++ $F -DISA=avx512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -c kernel.cpp -o $out/k512.o &
g++ $F -DISA=avx2 -mavx2 -mfma -c kernel.cpp -o $out/k2.o &
g++ ${F/-O3/-O2} -DISA=plain -c kernel.cpp -o $out/k0.o &
wait
g++ -O2 -std=c++17 -fPIC -c dispatch.cpp -o $out/d.o
g++ -shared $out/*.o -o $out/libgan.so -pthread
