//! An interrupted call changes nothing.

use proptest::prelude::*;
use sfal::occurrences::bits::{BLOCK_WINDOWS, Block};
use sfal::simd::line::for_each_window;
use sfal::{Context, Error, Histogram, Occurrences};

/// Make `n` windows, each with feature 0 or 1 and every third with feature 2.
fn batch(n: usize) -> (Vec<i64>, Vec<u32>) {
    let (mut indptr, mut indices) = (vec![0], Vec::new());
    for window in 0..n {
        indices.push((window % 2) as u32);
        indices.extend((window % 3 == 0).then_some(2));
        indptr.push(indices.len() as i64);
    }
    (indptr, indices)
}

fn counted(n: usize) -> Occurrences {
    let (indptr, indices) = batch(n);
    let mut set = Occurrences::new(3).unwrap();
    set.extend(&indptr, &indices, &Context::default()).unwrap();
    set
}

fn stopped() -> Context {
    let context = Context::default();
    context.stop();
    context
}

#[test]
fn partly_appended_windows_leave_no_trace() {
    for before in [0, 700, BLOCK_WINDOWS - 5, BLOCK_WINDOWS] {
        let (more, reference) = (batch(BLOCK_WINDOWS + 300), counted(before));
        let mut set = counted(before);
        let failed = set.extend(&more.0, &more.1, &stopped());
        assert_eq!(failed, Err(Error::Interrupted));
        assert_eq!(set.merge(&counted(900), &stopped()), Err(Error::Interrupted));
        let all = |set: &Occurrences| set.rows(0, set.n_windows(), &Context::default()).unwrap();
        assert_eq!(all(&set), all(&reference));
        // Later windows find the bits cleared.
        set.extend(&more.0, &more.1, &Context::default()).unwrap();
        let mut whole = reference;
        whole.extend(&more.0, &more.1, &Context::default()).unwrap();
        assert_eq!(all(&set), all(&whole));
    }
}

#[test]
fn a_stopped_context_ends_every_long_call() {
    let set = counted(2_000);
    let starts: Vec<i64> = (0..2_000).collect();
    assert_eq!(set.rows(0, 2_000, &stopped()).err(), Some(Error::Interrupted));
    assert_eq!(set.coarsen(&starts, &stopped()).err(), Some(Error::Interrupted));
    assert_eq!(set.select(&starts, &stopped()).err(), Some(Error::Interrupted));
    assert_eq!(set.features(&[2, 0], &stopped()).err(), Some(Error::Interrupted));
    assert_eq!(set.histogram(&stopped()).err(), Some(Error::Interrupted));
    let mut sum = Histogram::new(3, &Context::default()).unwrap();
    assert_eq!(sum.update(&set, &stopped()), Err(Error::Interrupted));
    assert_eq!(sum.to_dense(&Context::default()).unwrap(), vec![0; 9]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_truncated_block_keeps_its_first_windows(n in 1..3_000_usize, share in 0.0..1.0) {
        let mut block = Block::zeros(3, n);
        for window in 0..n {
            block.set(window % 3, window);
            block.set(2, window);
        }
        let kept = (share * n as f64) as usize;
        block.truncate(kept);
        for feature in 0..3 {
            let mut found = Vec::new();
            for_each_window(block.row(feature), |window| found.push(window));
            let expected: Vec<usize> =
                (0..kept).filter(|window| feature == 2 || window % 3 == feature).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
