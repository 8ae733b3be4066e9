//! Resolves file owners in the form `user[:group]`. The user and group can be numeric IDs or names from the image's
//! `/etc/passwd` and `/etc/group`. Behaves like BuildKit (`llb.WithUser` and `solver/llbsolver/file/user_linux.go`).

use crate::dockerfile::error::StageError;
use crate::oci::rootfs::{FileContent, FsNode, RegularFile, RootFs};

/// The user ID and group ID of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub uid: u64,
    pub gid: u64,
}

/// Resolves `user[:group]`. The default group is the user's group in `/etc/passwd` or, for a numeric user, the group
/// with the same number.
pub(crate) fn resolve_owner(owner: &str, rootfs: &RootFs) -> Result<Owner, StageError> {
    let (user, group) = owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group)));
    let (uid, gid) = match parse_id(user)? {
        Some(number) => (number, number),
        None => match lookup(rootfs, "/etc/passwd", user)?[..] {
            [uid, gid, ..] => (uid, gid),
            _ => return Err(StageError::invalid(format!("the /etc/passwd entry for '{user}' has no valid IDs"))),
        },
    };
    let Some(group) = group else { return Ok(Owner { uid, gid }) };
    let gid = match parse_id(group)? {
        Some(number) => number,
        None => lookup(rootfs, "/etc/group", group)?.first().copied().unwrap_or_default(),
    };
    Ok(Owner { uid, gid })
}

/// Parses a numeric user or group. Returns 0 for `root` and an empty string, and `None` for any other name.
fn parse_id(word: &str) -> Result<Option<u64>, StageError> {
    match word.parse::<i32>() {
        Ok(id) => match u64::try_from(id) {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(StageError::invalid(format!("'{word}' is not a valid user or group"))),
        },
        Err(_) => Ok(matches!(word, "" | "root").then_some(0)),
    }
}

/// Looks up the IDs for a name in a file with lines such as `name:x:1:2` (passwd(5), group(5)).
fn lookup(rootfs: &RootFs, file: &str, name: &str) -> Result<Vec<u64>, StageError> {
    let text = match rootfs.get(&rootfs.resolve(file).map_err(StageError::Invalid)?) {
        Some(FsNode::File(RegularFile { content: FileContent::Text(text), .. })) => text,
        None => return Err(StageError::invalid(format!("cannot look up '{name}': the image has no {file}"))),
        Some(_) => return Err(StageError::unsupported(format!("cannot read names from {file}"))),
    };
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    let line = line.ok_or_else(|| StageError::invalid(format!("'{name}' is not in the image's {file}")))?;
    Ok(line.split(':').skip(1).map_while(|field| field.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> FsNode {
        FsNode::File(RegularFile { content: FileContent::Text(text.to_owned()), ..RegularFile::default() })
    }

    #[test]
    fn resolves_names_and_numeric_ids() {
        let mut rootfs = RootFs::default();
        rootfs.insert("etc/passwd", file("root:x:0:0::/:\nbobby:x:1:1\nbob:x:7:8:b:/:/x\nodd:x\n"));
        rootfs.insert("etc/group", file("staff:x:50:\n"));
        for (owner, expected) in [
            ("bob", Ok((7, 8))),
            ("5", Ok((5, 5))),
            ("5:6", Ok((5, 6))),
            ("bob:staff", Ok((7, 50))),
            ("bob:99", Ok((7, 99))),
            ("bob:", Ok((7, 0))),
            (":9", Ok((0, 9))),
            (":staff", Ok((0, 50))),
            ("root:root", Ok((0, 0))),
            ("nosuch", Err("'nosuch' is not in the image's /etc/passwd")),
            ("5:bob", Err("'bob' is not in the image's /etc/group")),
            ("3000000000", Err("'3000000000' is not in the image's /etc/passwd")),
            ("-1", Err("'-1' is not a valid user or group")),
            ("odd", Err("the /etc/passwd entry for 'odd' has no valid IDs")),
        ] {
            assert_eq!(
                resolve_owner(owner, &rootfs),
                expected.map(|(uid, gid)| Owner { uid, gid }).map_err(StageError::invalid),
                "{owner}"
            );
        }
        rootfs.insert("etc/passwd", FsNode::Other);
        let unsupported = StageError::unsupported("cannot read names from /etc/passwd");
        assert_eq!(resolve_owner("bob", &rootfs), Err(unsupported));
        rootfs.insert("etc/passwd", FsNode::Link("../passwd".to_owned()));
        assert_eq!(
            resolve_owner("bob", &rootfs),
            Err(StageError::invalid("cannot look up 'bob': the image has no /etc/passwd"))
        );
    }
}
