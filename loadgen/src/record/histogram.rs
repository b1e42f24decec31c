//! Histograms as text: HDR V2 in base64, nanoseconds.

use serde::{Deserialize, Serialize};

/// A histogram as it stands in a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Encoded(pub String);
