//! Arbitrary bytes as counts of pairs, as similarities, as vectors and as ranked lists.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sfal::neighbours::topk::{Double, Single};
use sfal::{Bytes, Histogram, Context, Measure, ndcg, neighbours};

struct Counts(Vec<u8>, usize);

impl Bytes for Counts {
    fn bytes(&self) -> &[u8] {
        &self.0[self.1..]
    }
}

fuzz_target!(|data: &[u8]| {
    let [n_windows, top_n, n, start, rest @ ..] = data else { return };
    let (top_n, n, start) = (*top_n as usize, *n as usize % 24, *start as usize % 4);
    let context = Context::default();
    if n > 0 && rest.len() >= start + 4 * n * n {
        let counts = Arc::new(Counts(rest[..start + 4 * n * n].to_vec(), start));
        let n_windows = u64::from(*n_windows);
        let good = Histogram::from_counts(counts.clone(), n, n_windows, &context).is_ok();
        if let Ok(deferred) = Histogram::from_counts_deferred(counts.clone(), n, n_windows) {
            let top = neighbours::functional_from_counts(
                &deferred, top_n.max(1), Measure::Phi, None, None, &context,
            );
            assert_eq!(top.is_ok(), good);
        }
        assert_eq!(sfal::measures::phi(counts.bytes(), n, n_windows, &context).is_ok(), good);
    }
    let words: Vec<[u8; 4]> = rest.chunks_exact(4).map(|word| word.try_into().unwrap()).collect();
    let floats: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    let wide: Vec<f64> = floats.iter().map(|&value| value.into()).collect();
    let lists: Vec<u32> = words.iter().map(|&word| u32::from_le_bytes(word)).collect();
    let rows = words.len() / n.max(1);
    let whole = rows * n.max(1);
    let single = neighbours::top::<Single>(&floats[..whole], rows, n.max(1), top_n, start, &context);
    let double = neighbours::top::<Double>(&wide[..whole], rows, n.max(1), top_n, start, &context);
    assert_eq!(single.map(|top| top.indices).ok(), double.map(|top| top.indices).ok());
    let _ = neighbours::semantic(&floats[..whole], rows, n.max(1), top_n, None, None, &context);
    let _ = ndcg::ranked(&lists[..whole], &lists[..whole], rows, top_n, 1.1, &context);
});
