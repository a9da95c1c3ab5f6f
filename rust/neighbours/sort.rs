//! Sorting the best entries, as numbers where they are larger than numbers.

use crate::neighbours::entry::Entry;

/// Entries that are not worth the detour.
const FEW: usize = 64;

/// Bring the best `n` to the front, in order, and return their number.
pub(crate) fn best_of<E: Entry>(entries: &mut [E], n: usize) -> usize {
    let n = n.min(entries.len());
    // A selection takes longer than sorting a few entries more.
    let sorted = if n > 0 && entries.len() > 2 * n {
        entries.select_nth_unstable(n - 1);
        n
    } else {
        entries.len()
    };
    E::sort(&mut entries[..sorted]);
    n
}

/// Sort entries, whose order is first that of their `key`.
///
/// A thousand numbers sort in two thirds of the time of as many entries, this detour included. So
/// the keys are sorted, with their low bits replaced by the entries' positions; entries whose keys
/// differ in these bits alone are put in order afterwards.
pub(crate) fn sort_by_key<E: Copy + Ord>(entries: &mut [E], key: impl Fn(&E) -> u64) {
    if entries.len() < FEW {
        return entries.sort_unstable();
    }
    let low = entries.len().next_power_of_two() as u64 - 1;
    let places = || (0..).zip(&*entries);
    let mut keys: Vec<u64> = places().map(|(place, e)| key(e) & !low | place).collect();
    keys.sort_unstable();
    let before = entries.to_vec();
    for (entry, &key) in entries.iter_mut().zip(&keys) {
        *entry = before[(key & low) as usize];
    }
    let mut start = 0;
    for end in 1..=keys.len() {
        if end == keys.len() || (keys[end] ^ keys[end - 1]) & !low != 0 {
            if end - start > 1 {
                entries[start..end].sort_unstable();
            }
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_are_in_order(
            keys in prop::collection::vec(
                prop_oneof![0..40_u64, 1_000_000..1_000_400_u64, any::<u64>()],
                0..400,
            ),
        ) {
            let mut entries: Vec<_> = (0..400_u32).rev().zip(keys).map(|(f, key)| (key, f)).collect();
            let mut expected = entries.clone();
            expected.sort_unstable();
            sort_by_key(&mut entries, |entry| entry.0);
            prop_assert_eq!(entries, expected);
        }
    }
}
