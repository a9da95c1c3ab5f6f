//! The replicates: which groups of documents make up each half and each quarter.
//!
//! Entry (r, g) of the 16 × 16 Hadamard matrix is -1 to the number of bits that r and g share. Any
//! two rows but the first agree in half of the columns: a row splits the groups into two halves, and
//! another row splits each half into two quarters.
//!
//! Rows 8 to 15 make the halves. Their columns are the words of the extended Hamming code: any two
//! groups lie in the same half in four of the eight splits, but for groups 8 apart, which never do.
//! Rows 1 to 8 would keep such groups together in all splits but one. The rows of the quarters are
//! chosen so that they separate the pairs of groups as evenly.

/// Groups of documents.
pub const GROUPS: usize = 16;
/// Splits of the groups into two halves, each with a split of one half into two quarters.
pub const SPLITS: usize = 8;

/// Groups of one replicate, in order.
pub(crate) type Members = Vec<usize>;

/// One split: two complementary halves, and two quarters that are halves of one of them.
pub(crate) struct Split {
    pub(crate) halves: [Members; 2],
    pub(crate) quarters: [Members; 2],
}

/// Make all splits.
pub(crate) fn splits() -> [Split; SPLITS] {
    let side = |row: usize, group: usize| (row & group).count_ones() as usize % 2;
    std::array::from_fn(|split| {
        let (row, other) = (SPLITS + split, 1 + 3 * split % 7);
        let half = |s: usize| (0..GROUPS).filter(|&group| side(row, group) == s).collect();
        let halves: [Members; 2] = [half(0), half(1)];
        // Were it always the first half, group 0 would lie in all quarters and group 8 in none.
        let divided = &halves[usize::from(split < 2)];
        let quarter =
            |s: usize| divided.iter().copied().filter(|&group| side(other, group) == s).collect();
        Split { quarters: [quarter(0), quarter(1)], halves }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_complementary_and_quarters_are_halves_of_one_of_them() {
        for Split { halves: [a, b], quarters: [p, q] } in splits() {
            assert_eq!((a.len(), b.len(), p.len(), q.len()), (8, 8, 4, 4));
            let mut all = [a.clone(), b.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..GROUPS).collect::<Vec<_>>());
            let mut both = [p, q].concat();
            both.sort_unstable();
            assert!(both == a || both == b);
        }
    }

    #[test]
    fn two_groups_lie_in_the_same_half_in_four_splits_or_8_apart_in_none() {
        for g in 0..GROUPS {
            for h in 0..g {
                let together = |half: &Members| half.contains(&g) == half.contains(&h);
                let times = splits().iter().filter(|split| together(&split.halves[0])).count();
                assert_eq!(times, if g - h == 8 { 0 } else { 4 }, "{g} and {h}");
            }
        }
    }

    #[test]
    fn each_group_lies_in_two_to_six_quarters() {
        for group in 0..GROUPS {
            let splits = splits();
            let quarters = splits.iter().flat_map(|split| &split.quarters);
            let times = quarters.filter(|quarter| quarter.contains(&group)).count();
            assert!((2..=6).contains(&times), "{group}: {times}");
        }
    }
}
