//! Single kernels on one thread, for each instruction set of this CPU.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sfal::cooccurrence::tile::count_tile;
use sfal::occurrences::bits::{BLOCK_WINDOWS, Block};
use sfal::simd::Isa;
use sfal::simd::gemm::{COLS, DEPTH, ROWS, multiply};
use sfal::simd::threshold::{CHUNK, above_f32};

const TILE: usize = 128;

/// Make pseudo-random bits, an eighth of them set.
fn block() -> Block {
    let mut block = Block::zeros(2 * TILE, BLOCK_WINDOWS);
    let mut state = 1_u64;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for line in block.lines_mut() {
        line.0 = std::array::from_fn(|_| word() & word() & word());
    }
    block
}

fn pairs(c: &mut Criterion) {
    let block = block();
    let mut group = c.benchmark_group("bits ANDed and counted");
    group.throughput(Throughput::Elements((TILE * TILE * BLOCK_WINDOWS) as u64));
    let count = |isa| {
        let mut out = vec![0; TILE * TILE];
        count_tile(isa, (&block, 0..TILE), (&block, TILE..2 * TILE), &mut out, TILE);
        out
    };
    for isa in Isa::available() {
        assert_eq!(count(isa), count(Isa::available()[0]));
        group.bench_function(isa.name(), |b| b.iter(|| count(isa)));
    }
}

fn product(c: &mut Criterion) {
    let mut group = c.benchmark_group("multiply-adds");
    group.throughput(Throughput::Elements((ROWS * COLS * DEPTH) as u64));
    let (a, b) = (vec![0.5; ROWS * DEPTH], vec![0.25; COLS * DEPTH]);
    for isa in Isa::available() {
        let mut out = [[0.0; COLS]; ROWS];
        multiply(isa, &a, &b, &mut out);
        assert_eq!(out, [[32.0; COLS]; ROWS]);
        group.bench_function(isa.name(), |bench| bench.iter(|| multiply(isa, &a, &b, &mut out)));
    }
}

fn above(c: &mut Criterion) {
    let mut group = c.benchmark_group("values compared");
    group.throughput(Throughput::Elements(CHUNK as u64));
    let values: [f32; CHUNK] = std::array::from_fn(|k| k as f32);
    let bounds = [32.0; CHUNK];
    for isa in Isa::available() {
        assert_eq!(above_f32(isa, &values, &bounds), (u64::MAX << 32, true));
        group.bench_function(isa.name(), |b| b.iter(|| above_f32(isa, &values, &bounds)));
    }
}

criterion_group!(kernels, pairs, product, above);
criterion_main!(kernels);
