//! What kinds of request there are, and how often.
