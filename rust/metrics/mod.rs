//! Metrics that compare the two ranked lists of a feature.

pub mod chance_law;
mod feature_map;
mod functional_neighbours;
pub mod label_fit;
mod label_gains;
mod label_sums;
mod labels;
pub mod ndcg;
pub mod overlap;
pub mod reliability;
mod shortlist;
mod sum_limits;
mod terms;
pub mod ties;
mod transposed;
