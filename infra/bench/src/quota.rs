//! The share of a CPU that Lambda gives a function of some memory size: 1,769 MB are one vCPU (Lambda developer guide,
//! "Configure Lambda function memory"), and initialisation is not throttled.

use crate::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Memory in MB that comes with one CPU.
const ONE_CPU: u64 = 1769;

/// Microseconds over which a share counts; seen on Lambda, not documented.
const PERIOD: u64 = 20_000;

/// A control group whose share can be set.
pub struct Quota {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

impl Quota {
    /// Makes the group, if this machine lets us.
    pub fn available() -> Result<Self, String> {
        let (parent, version) = if Path::new("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").exists()
            || Path::new("/sys/fs/cgroup/cpu/cgroup.procs").exists()
        {
            ("/sys/fs/cgroup/cpu", Version::One)
        } else {
            ("/sys/fs/cgroup", Version::Two)
        };
        let folder = Path::new(parent).join(format!("latchkey-bench-{}", std::process::id()));
        fs::create_dir(&folder)
            .map_err(|error| format!("cannot make the control group {}: {error}", folder.display()))?;
        let quota = Self { folder, version };
        quota.set(128).map_err(|error| format!("cannot set the quota of {}: {error}", quota.folder.display()))?;
        Ok(quota)
    }

    /// From now on, `process` gets the share of this many MB.
    pub fn apply(&self, process: u32, memory: u32) -> Result<(), Error> {
        self.set(memory)?;
        Ok(fs::write(self.folder.join("cgroup.procs"), process.to_string())?)
    }

    fn set(&self, memory: u32) -> std::io::Result<()> {
        let share = PERIOD * u64::from(memory) / ONE_CPU;
        match self.version {
            Version::One => {
                fs::write(self.folder.join("cpu.cfs_period_us"), PERIOD.to_string())?;
                fs::write(self.folder.join("cpu.cfs_quota_us"), share.to_string())
            }
            Version::Two => fs::write(self.folder.join("cpu.max"), format!("{share} {PERIOD}")),
        }
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // Its processes are dead; that nothing is left behind is all there is to it.
        let _ = fs::remove_dir(&self.folder);
    }
}
