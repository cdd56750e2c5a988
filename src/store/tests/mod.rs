//! What a store must stand: power cuts at every step, refusing disks, broken files.

mod damage;
mod power;
mod refusal;
pub(crate) mod support;
mod whole;
