//! File capabilities, which the kernel grants to a program when it starts (capabilities(7), "File capabilities").

use serde::{Deserialize, Serialize};

/// Name of the PAX record with a file's capabilities, as GNU tar and Docker write it.
pub(crate) const PAX_RECORD: &str = "SCHILY.xattr.security.capability";

/// Names of the capabilities, without the `cap_` prefix. The index is the number of the bit (linux/capability.h).
pub(crate) const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// Version 2 of the attribute's format, with the flag that makes the capabilities effective when the program starts.
const MAGIC: u32 = 0x0200_0000 | EFFECTIVE;
const EFFECTIVE: u32 = 1;

/// A set of capabilities that a program has when it starts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileCapabilities(u64);

impl FileCapabilities {
    /// Returns the set of capabilities with the given names, or an unknown name as an error.
    pub(crate) fn from_names(names: &[String]) -> Result<FileCapabilities, &str> {
        let mut bits = 0;
        for name in names {
            let number = NAMES.iter().position(|known| known == name).ok_or(name.as_str())?;
            bits |= 1 << number;
        }
        Ok(FileCapabilities(bits))
    }

    /// Returns the names of the capabilities, or the numbers of those that are newer than [`NAMES`].
    pub(crate) fn names(self) -> Vec<String> {
        let numbers = (0..u64::BITS as usize).filter(|number| self.0 & (1 << number) != 0);
        numbers.map(|number| NAMES.get(number).map_or_else(|| number.to_string(), |name| (*name).to_owned())).collect()
    }

    /// Returns the capabilities in either set.
    #[must_use]
    pub(crate) fn union(self, other: FileCapabilities) -> FileCapabilities {
        FileCapabilities(self.0 | other.0)
    }

    /// Reports whether the set is empty.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the value of the extended attribute `security.capability` (`struct vfs_cap_data`, linux/capability.h).
    pub(crate) fn to_attribute(self) -> [u8; 20] {
        let [low, high] = [self.0, self.0 >> 32].map(|half| u32::try_from(half & u64::from(u32::MAX)).unwrap_or(0));
        let mut value = [0; 20];
        // The two inheritable sets, at 8 and 16, remain empty.
        for (offset, word) in [(0, MAGIC), (4, low), (12, high)] {
            value[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
        }
        value
    }

    /// Parses an extended attribute. Returns `None` if no capability is effective when the program starts.
    pub(crate) fn from_attribute(value: &[u8]) -> Option<FileCapabilities> {
        let word = |offset: usize| Some(u32::from_le_bytes(value.get(offset..offset + 4)?.try_into().ok()?));
        let high = word(12).unwrap_or_default();
        let permitted = FileCapabilities(u64::from(word(4)?) | u64::from(high) << 32);
        (word(0)? & EFFECTIVE != 0 && !permitted.is_empty()).then_some(permitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_read_back_as_the_same_set() {
        for names in [&["net_bind_service"][..], &["chown", "checkpoint_restore"]] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let set = FileCapabilities::from_names(&names).unwrap();
            assert_eq!(set.names(), names);
            assert_eq!(FileCapabilities::from_attribute(&set.to_attribute()), Some(set));
        }
    }

    #[test]
    fn unknown_capabilities_are_numbers() {
        assert_eq!(FileCapabilities(1 << 41 | 1).names(), ["chown", "41"]);
    }

    /// The value that `setcap cap_net_bind_service=+ep` writes.
    #[test]
    fn attribute_is_that_of_setcap() {
        let set = FileCapabilities::from_names(&["net_bind_service".to_owned()]).unwrap();
        let expected = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(set.to_attribute(), expected);
        let not_effective = [&[0], &expected[1..]].concat();
        assert_eq!(FileCapabilities::from_attribute(&not_effective), None);
        assert_eq!(FileCapabilities::from_attribute(&expected[..6]), None);
        let empty = [&expected[..4], &[0; 16]].concat();
        assert_eq!(FileCapabilities::from_attribute(&empty), None);
        assert_eq!(FileCapabilities::from_names(&["cap_chown".to_owned()]), Err("cap_chown"));
    }
}
