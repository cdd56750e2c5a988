//! Ring 3. The loop, channels, threads, clock, signals, workers.
