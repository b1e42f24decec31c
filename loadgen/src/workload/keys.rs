//! Which object is asked for: uniform, zipf, latest, once.
