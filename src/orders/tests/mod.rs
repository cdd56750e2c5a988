//! What `orders` promises, tried from outside.

mod machine;
mod moves;
