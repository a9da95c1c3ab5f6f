//! A list from the measure of one feature with every candidate.

use crate::measures::{Margins, Measure};
use crate::neighbours::entry::{Double, Entry};
use crate::neighbours::row_lists::{Row, write_list};
use crate::neighbours::topk::best_of_row;
use crate::simd::Isa;

/// A feature and the candidates for its list.
pub(crate) struct WholeRow<'a> {
    pub(crate) measure: Measure,
    pub(crate) n_windows: u64,
    /// Place of the feature in its margins.
    pub(crate) row: (usize, &'a Margins),
    pub(crate) candidates: (&'a [u32], &'a Margins),
    /// Position of the feature among the candidates.
    pub(crate) own: Option<usize>,
}

impl WholeRow<'_> {
    /// Write the list of the best `width`, and with `ties` its ties. `both` counts the windows that
    /// each candidate shares with the feature.
    pub(crate) fn write(
        &self,
        both: &[u32],
        (width, ties): (usize, bool),
        (values, best): (&mut Vec<f64>, &mut Vec<Double>),
        list: Row<'_>,
    ) {
        let (candidates, margins) = self.candidates;
        values.resize(candidates.len(), 0.0);
        let cols = (0..candidates.len(), margins);
        self.measure.row(self.n_windows, self.row, cols, both, values);
        // No error is possible: a measure of counts is finite.
        let beyond = best_of_row::<Double>(Isa::active(), values, self.own, width, best);
        let feature = |column: u32| candidates[column as usize];
        let beyond = beyond.unwrap_or_default().into_iter().map(feature);
        for entry in &mut *best {
            *entry = Double::new(entry.exact(), feature(entry.feature()));
        }
        write_list(best, ties.then(|| beyond.collect()), list);
    }
}
