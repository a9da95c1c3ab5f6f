//! Metrics that compare the two ranked lists of a feature.

pub mod chance_law;
pub mod ndcg;
