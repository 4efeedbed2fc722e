//! What is measured, a file for each table. All but `start` begin with a broker that has nothing in store.

pub(crate) mod acknowledged;
pub(crate) mod drain;
pub(crate) mod fan_out;
pub(crate) mod start;
pub(crate) mod written;
