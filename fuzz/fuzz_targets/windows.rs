//! Arbitrary bytes as a batch of windows, and as arguments of calls on it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sfal::{Histogram, Context, Measure, Occurrences, neighbours};

fn numbers<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).map(|chunk| read(chunk.try_into().unwrap())).collect()
}

fuzz_target!(|data: &[u8]| {
    let [n_features, n_windows, top_n, rest @ ..] = data else { return };
    let split = (8 * (*n_windows as usize + 1)).min(rest.len());
    let indptr = numbers(&rest[..split], i64::from_le_bytes);
    let indices = numbers(&rest[split..], u32::from_le_bytes);
    let context = Context::default();
    let Ok(mut set) = Occurrences::new(*n_features as usize) else { return };
    if set.extend(&indptr, &indices, &context).is_err() {
        assert_eq!(set.n_windows(), 0);
        return;
    }
    let back = set.rows(0, set.n_windows(), &context).unwrap();
    assert_eq!(back, (indptr.clone(), indices.clone()));
    let _ = set.coarsen(&indptr, &context);
    let _ = set.select(&indptr, &context);
    let _ = set.features(&indices, &context);
    let copy = set.clone();
    set.merge(&copy, &context).unwrap();
    let counts: Vec<u64> = copy.counts().iter().map(|count| 2 * count).collect();
    assert_eq!(set.counts(), counts);
    let mut histogram = Histogram::new(*n_features as usize, &context).unwrap();
    histogram.update(&set, &context).unwrap();
    assert_eq!(histogram.counts(), counts);
    let from_bits =
        neighbours::functional(&set, *top_n as usize, Measure::Phi, Some(&indices), None, &context);
    let from_counts = neighbours::functional_from_counts(
        &histogram, *top_n as usize, Measure::Phi, Some(&indices), None, &context,
    );
    match (from_bits, from_counts) {
        (Ok(bits), Ok(counts)) => assert_eq!(bits.indices, counts.indices),
        (Err(_), Err(_)) => {}
        _ => panic!("one is refused and the other is not"),
    }
});
