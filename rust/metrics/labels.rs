//! Which features have labels, and which labels are equal.

use crate::error::{Error, Result};
use crate::neighbours::row_ties::Lists;

/// What is known of the features and their labels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labels<'a> {
    /// Feature of each row of functional lists; by default the features in order.
    pub rows: Option<&'a [u32]>,
    /// Feature of each row of semantic lists, ascending; by default all features.
    pub labels: Option<&'a [u32]>,
    /// A number for each row of semantic lists, equal where labels are equal.
    pub same: Option<&'a [u32]>,
}

/// Refuse rows and labels that do not agree with the lists.
///
/// # Errors
/// [`Error::Mismatch`]; [`Error::Argument`] for labels that do not rise.
pub(super) fn check(
    functional: Lists<'_>,
    semantic: Lists<'_>,
    labels: &[u32],
    given: Labels<'_>,
) -> Result<()> {
    let sizes = [
        (
            "the number of rows",
            given.rows.map_or(labels.len(), <[u32]>::len),
            "functional",
            functional.n_rows,
        ),
        ("the number of labels", labels.len(), "semantic", semantic.n_rows),
        ("same", given.same.map_or(labels.len(), <[u32]>::len), "semantic", semantic.n_rows),
    ];
    for (what, got, other, expected) in sizes {
        if got != expected {
            return Err(Error::Mismatch { what, got, other, expected });
        }
    }
    if let Some(at) = labels.windows(2).position(|pair| pair[1] <= pair[0]) {
        let got = format!("{} after {} at position {}", labels[at + 1], labels[at], at + 1);
        return Err(Error::argument("labels", got, "strictly increasing"));
    }
    Ok(())
}

/// Which labels are equal.
pub(super) struct Same {
    /// Labels in the order of their class.
    order: Vec<u32>,
    /// Where the class of each label stands in it.
    class: Vec<(u32, u32)>,
}

impl Same {
    pub(super) fn new(same: Option<&[u32]>) -> Option<Self> {
        let same = same?;
        let mut order: Vec<u32> = (0..same.len() as u32).collect();
        order.sort_unstable_by_key(|&label| (same[label as usize], label));
        let mut class = vec![(0, 0); same.len()];
        let mut start = 0;
        for members in order.chunk_by(|&a, &b| same[a as usize] == same[b as usize]) {
            let end = start + members.len() as u32;
            for &label in members {
                class[label as usize] = (start, end);
            }
            start = end;
        }
        Some(Self { order, class })
    }

    /// Labels equal to one, itself included.
    pub(super) fn members(&self, label: usize) -> &[u32] {
        let (start, end) = self.class[label];
        &self.order[start as usize..end as usize]
    }
}
