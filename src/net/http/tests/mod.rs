//! The client against real sockets on loopback. Read `server` first: what the other side can be made to do.

mod answers;
mod arrivals;
mod calls;
mod connections;
mod cuts;
mod names;
mod server;
mod trust;
