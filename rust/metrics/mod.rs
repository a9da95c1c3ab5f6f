//! Metrics that compare the two ranked lists of a feature.

pub mod chance_law;
mod feature_map;
pub mod label_fit;
mod labels;
pub mod ndcg;
pub mod overlap;
pub mod reliability;
pub mod ties;
mod transposed;
