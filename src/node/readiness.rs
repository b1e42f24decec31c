//! Whether the node can serve, for probes. Pure.

use crate::io::DiskState;
use bytes::Bytes;
use serde_json::json;

/// Ready is a node with a disk in service, whose names are well if it keeps any (`names` says so), and that is not being
/// stopped. Disks that are full or suspect cost no readiness, for they are read; whether any takes objects is told beside it.
///
/// # Errors
/// What is missing, in a few words for each part.
pub(super) fn judge(
    stopping: bool,
    disks: impl Iterator<Item = DiskState>,
    names: Option<bool>,
) -> Result<Bytes, String> {
    let disks: Vec<DiskState> = disks.collect();
    let count = |state| disks.iter().filter(|disk| **disk == state).count();
    let [healthy, full, suspect, failed] =
        [DiskState::Healthy, DiskState::Full, DiskState::Suspect, DiskState::Failed].map(count);
    let mut reasons = Vec::new();
    if stopping {
        reasons.push("node: it is being stopped".to_string());
    }
    if healthy + full + suspect == 0 {
        reasons.push(format!("disks: none is in service ({failed} failed)"));
    }
    if names == Some(false) {
        reasons.push("names: out of service".to_string());
    }
    if !reasons.is_empty() {
        return Err(reasons.join("; "));
    }
    let names = if names.is_some() { "well" } else { "none" };
    let told = json!({
        "ready": true,
        "takes_objects": healthy > 0,
        "disks": disks.len(),
        "disks_healthy": healthy,
        "names": names,
    });
    Ok(told.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use DiskState::{Failed, Full, Healthy, Suspect};

    fn judged(stopping: bool, disks: &[DiskState], names: Option<bool>) -> Result<Bytes, String> {
        judge(stopping, disks.iter().copied(), names)
    }

    #[test]
    fn ready_is_a_node_that_serves() {
        for (disks, names, want) in [
            (
                &[Failed, Healthy, Full, Suspect][..],
                None,
                r#"{"disks":4,"disks_healthy":1,"names":"none","ready":true,"takes_objects":true}"#,
            ),
            (
                &[Failed, Full],
                Some(true),
                r#"{"disks":2,"disks_healthy":0,"names":"well","ready":true,"takes_objects":false}"#,
            ),
        ] {
            let told = judged(false, disks, names).unwrap();
            assert_eq!(
                serde_json::from_slice::<serde_json::Value>(&told).unwrap(),
                serde_json::from_str::<serde_json::Value>(want).unwrap()
            );
        }
    }

    #[test]
    fn each_part_that_is_not_well_is_told() {
        for (stopping, disks, names, want) in [
            (true, &[Healthy][..], None, "node: it is being stopped"),
            (false, &[Failed, Failed], None, "disks: none is in service (2 failed)"),
            (false, &[Healthy], Some(false), "names: out of service"),
            (
                true,
                &[Failed],
                Some(false),
                "node: it is being stopped; disks: none is in service (1 failed); names: out of service",
            ),
        ] {
            assert_eq!(judged(stopping, disks, names).unwrap_err(), want);
        }
    }
}
