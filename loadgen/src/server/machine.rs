//! The machine, as a record keeps it.

use super::{Pid, Unreadable, files, text};
use crate::record::Machine;
use std::collections::BTreeSet;
use std::path::Path;

/// This machine, with the processors that this process and a local server may use.
///
/// # Errors
/// The file that cannot be read.
pub fn machine(server: &[Pid]) -> Result<Machine, Unreadable> {
    let line = |path: &str| text(Path::new(path)).map(|text| text.trim().to_string());
    let (processor, is_virtual) = files::processor(&text(Path::new("/proc/cpuinfo"))?);
    let memory = Path::new("/proc/meminfo");
    let own = processors_of(Pid::own())?;
    let servers: BTreeSet<String> = server.iter().map(|pid| processors_of(*pid)).collect::<Result<_, _>>()?;
    Ok(Machine {
        kernel: format!("{} {}", line("/proc/sys/kernel/ostype")?, line("/proc/sys/kernel/osrelease")?),
        processor,
        processors: files::processor_count(&own)
            .ok_or_else(|| Unreadable::garbled(&Pid::own().file("status"), "a list of processors"))?,
        memory_bytes: files::memory_bytes(&text(memory)?).ok_or_else(|| Unreadable::garbled(memory, "MemTotal"))?,
        is_virtual,
        generator_processors: own,
        // Processes that are held on different ones are told apart.
        server_processors: servers.into_iter().collect::<Vec<_>>().join("; "),
    })
}

fn processors_of(pid: Pid) -> Result<String, Unreadable> {
    let path = pid.file("status");
    let status = files::status(&text(&path)?).ok_or_else(|| Unreadable::garbled(&path, "the status of a process"))?;
    Ok(status.processors)
}

#[test]
fn this_machine_is_told() {
    let machine = machine(&[Pid::own(), Pid::own()]).unwrap();
    assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
    assert!(machine.processors >= 1 && machine.memory_bytes > 64 << 20, "{machine:?}");
    assert!(!machine.generator_processors.is_empty());
    assert_eq!(machine.server_processors, machine.generator_processors);
    assert!(super::machine(&[Pid(u32::MAX)]).unwrap_err().to_string().starts_with("/proc/4294967295/status"));
}
