//! Metrics that compare a feature's two ranked lists.

pub mod ndcg;
