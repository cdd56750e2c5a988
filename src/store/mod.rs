//! Ring 2. The state directory: locks, journal, snapshots, the store thread.
