//! The order of tiles, and values whose order makes sampled bounds wrong.

use super::*;
use crate::neighbours::entry::Single;

const SIDE: usize = 64;

#[test]
fn every_pair_and_every_number_comes_once() {
    for n in 1..70 {
        let mut numbers: Vec<_> = (0..n).map(|k| golden_order(k, n)).collect();
        assert_eq!(numbers.last(), Some(&0));
        numbers.sort_unstable();
        assert_eq!(numbers, (0..n).collect::<Vec<_>>());
        let mut pairs: Vec<_> = (0..n * (n + 1) / 2).map(|k| tile_pair(k, n)).collect();
        pairs.sort_unstable();
        let expected: Vec<_> = (0..n).flat_map(|a| (a..n).map(move |b| (a, b))).collect();
        assert_eq!(pairs, expected);
    }
}

/// Values that fall, or rise, in the order in which tiles are computed.
struct Ordered {
    n_tiles: usize,
    place: Vec<usize>,
    sign: f32,
}

impl Ordered {
    fn new(n: usize, sign: f32) -> Self {
        let n_tiles = n.div_ceil(SIDE);
        let mut place = vec![0; n_tiles * n_tiles];
        for k in 0..n_tiles * (n_tiles + 1) / 2 {
            let (a, b) = tile_pair(k, n_tiles);
            place[a * n_tiles + b] = k / n_tiles;
            place[b * n_tiles + a] = k / n_tiles;
        }
        Self { n_tiles, place, sign }
    }

    fn value(&self, i: usize, j: usize) -> f32 {
        let place = self.place[i / SIDE * self.n_tiles + j / SIDE];
        self.sign * place as f32 + (i * j % 7) as f32 / 10.0
    }
}

impl Tiles<Single> for Ordered {
    const SIDE: usize = SIDE;
    const ROW_STEP: usize = 4;

    fn fill(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        _: &mut Vec<u32>,
        out: &mut [f32],
    ) -> Result<()> {
        for (i, out) in rows.zip(out.chunks_mut(SIDE)) {
            for (j, out) in cols.clone().zip(out) {
                *out = self.value(i, j);
            }
        }
        Ok(())
    }
}

#[test]
fn lists_hold_the_best_even_where_the_first_tiles_mislead() {
    let (n, width) = (SIDE * 24 + 5, 150);
    let all: Vec<u32> = (0..n as u32).collect();
    let query = Query { rows: &all, candidates: &all, width, ties: false };
    for sign in [-1.0, 1.0] {
        let tiles = Ordered::new(n, sign);
        let context = Context::default();
        let found = symmetric::<Single, _>(&tiles, 0.0, query, &context).unwrap();
        assert_eq!(found, rectangular::<Single, _>(&tiles, 0.0, query, &context).unwrap());
        for (i, list) in found.indices.chunks(width).enumerate().step_by(11) {
            let mut others: Vec<usize> = (0..n).filter(|&j| j != i).collect();
            others
                .sort_by(|&a, &b| tiles.value(i, b).total_cmp(&tiles.value(i, a)).then(a.cmp(&b)));
            assert!(list.iter().zip(&others).all(|(&a, &b)| a as usize == b), "row {i}");
        }
    }
}

#[test]
fn a_list_with_a_wrong_sampled_bound_is_incomplete() {
    // The same sizes as above, so that this test shows that a sampled bound is used there.
    let (width, n) = (150, 64 * 24 + 4);
    let mut buffer = vec![Single::FILLER; capacity_for(width)];
    let mut list = TopN::with_sampled_bound(width, n, &mut buffer);
    (0..n).for_each(|j| list.push(Single::new(-(j as f32), j as u32)));
    assert!(list.is_incomplete());
}
