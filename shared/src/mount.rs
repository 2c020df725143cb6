//! Container pushes that read: `POST /v2/NAME/blobs/uploads/?mount=DIGEST&from=OTHER` copies a blob out of another
//! repository. Source: OCI Distribution Specification 1.1, "Mounting a blob from another repository".

/// The paths of the blobs that a request would copy, one for each `from`: whichever of several the registry goes by,
/// the token must be allowed to read it. The request's path is given decoded, as such a registry reads it.
///
/// A gateway that goes by a cached policy does not ask, and an event of type `TOKEN` has no query: there a push is
/// judged by its own path alone.
pub fn sources(method: &str, path: &str, query: &[(String, String)]) -> impl Iterator<Item = String> {
    let api = if method == "POST" { uploads(path) } else { None };
    let values = |name| query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str());
    let digest = values("mount").next().unwrap_or_default();
    api.into_iter().flat_map(move |api| values("from").map(move |from| format!("{api}/{from}/blobs/{digest}")))
}

/// The address of the registry's API, if a path is that of uploads.
fn uploads(path: &str) -> Option<&str> {
    let (before, _) = path.rsplit_once("/blobs/uploads")?;
    let (api, _) = before.split_at_checked(before.find("/v2/")? + "/v2".len())?;
    Some(api)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path;

    fn sources_of(method: &str, path: &str, query: &[(&str, &str)]) -> Vec<String> {
        let query: Vec<_> = query.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        sources(method, &path::decoded(path), &query).collect()
    }

    #[test]
    fn a_mount_reads_the_blob_of_the_other_repository() {
        let query = [("mount", "sha256:0f"), ("from", "other/x")];
        assert_eq!(sources_of("POST", "/v2/team/app/blobs/uploads/", &query), ["/v2/other/x/blobs/sha256:0f"]);
        assert_eq!(sources_of("POST", "/oci/v2/app/blobs/uploads/", &query), ["/oci/v2/other/x/blobs/sha256:0f"]);
    }

    #[test]
    fn every_source_that_is_named_counts() {
        let query = [("from", "a"), ("mount", "sha256:0f"), ("from", "b")];
        assert_eq!(
            sources_of("POST", "/v2/x/blobs/uploads/", &query),
            ["/v2/a/blobs/sha256:0f", "/v2/b/blobs/sha256:0f"]
        );
        assert_eq!(sources_of("POST", "/v2/x/blobs/uploads/", &[("from", "a")]), ["/v2/a/blobs/"]);
    }

    #[test]
    fn no_spelling_hides_a_mount() {
        let query = [("mount", "sha256:0f"), ("from", "other/x")];
        for path in ["/v2/x/%62lobs/uploads/", "/v2/x/blobs%2Fuploads", "/%76%32/x/blobs/uploads/"] {
            assert_eq!(sources_of("POST", path, &query), ["/v2/other/x/blobs/sha256:0f"], "{path}");
        }
    }

    #[test]
    fn nothing_else_reads_another_repository() {
        let query = [("mount", "sha256:0f"), ("from", "other")];
        assert!(sources_of("PUT", "/v2/x/blobs/uploads/", &query).is_empty());
        assert!(sources_of("POST", "/npm/x", &query).is_empty());
        assert!(sources_of("POST", "/v2/x/blobs/uploads/", &[]).is_empty());
    }
}
