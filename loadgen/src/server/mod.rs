//! What a server costs, and on what machine.
