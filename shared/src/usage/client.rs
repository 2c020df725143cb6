//! What each registry client wants to be told. A snippet is proven by the end-to-end tests where its client runs.

use super::RegistryUrl;

/// A registry client.
#[derive(Debug)]
pub(super) struct Client {
    /// As `REGISTRY_CLIENTS` names it.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) instructions: &'static str,
    pub(super) kind: Kind,
    pub(super) guide: fn(&Place<'_>) -> Guide,
}

/// Where a client looks for its registry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Below the address it is given.
    Paths,
    /// At `/v2/` of the host, with the path as the beginning of every repository's name.
    Container,
}

/// The pieces of a snippet, each of one or more lines.
pub(super) struct Guide {
    /// What makes the client know the registry and the token.
    pub(super) setup: String,
    /// An example that reads.
    pub(super) read: Option<String>,
    /// An example that writes.
    pub(super) write: Option<String>,
}

/// What stands in snippets for the registry and the token.
pub(super) struct Place<'a> {
    /// `https://registry.example/npm`, without a slash at its end.
    url: String,
    /// The same without its scheme: `registry.example/npm`.
    bare: String,
    /// `https` or `http`.
    scheme: &'static str,
    /// `registry.example`, with a port where there is one.
    host: &'a str,
    /// `registry.example/team`: what the names of images begin with.
    images: String,
    token: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn new(registry: &'a RegistryUrl, path: &str, token: &'a str) -> Self {
        let scheme = if registry.https { "https" } else { "http" };
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        let bare = format!("{}{}{path}", registry.host, registry.path);
        let images = format!("{}{path}", registry.host);
        Self { url: format!("{scheme}://{bare}"), bare, scheme, host: &registry.host, images, token }
    }

    /// What a client must be told to speak with a registry without TLS, such as one on the same machine.
    fn without_tls(&self, told: &'static str) -> &'static str {
        if self.scheme == "http" { told } else { "" }
    }
}

impl Guide {
    fn new(setup: String) -> Self {
        Self { setup, read: None, write: None }
    }

    fn read(self, example: impl Into<String>) -> Self {
        Self { read: Some(example.into()), ..self }
    }

    fn write(self, example: impl Into<String>) -> Self {
        Self { write: Some(example.into()), ..self }
    }
}

/// Every client there is, in the order in which they are shown.
pub(super) const CLIENTS: [Client; 20] = [
    Client {
        name: "curl",
        title: "curl",
        instructions: "Send the token as a bearer token. With --fail-with-body a refusal fails, and says why.",
        kind: Kind::Paths,
        guide: |Place { url, token, .. }| {
            let curl = "curl --fail-with-body -H \"Authorization: Bearer $MY_REGISTRY_TOKEN\"";
            Guide::new(format!("export MY_REGISTRY_TOKEN={token}"))
                .read(format!("{curl} {url}/PATH"))
                .write(format!("{curl} -T FILE {url}/PATH"))
        },
    },
    Client {
        name: "cargo",
        title: "Cargo",
        instructions: "These variables hold for this shell and for CI. To keep them, write the registry into \
                       ~/.cargo/config.toml under [registries.my-registry] and the token by `cargo login`.",
        kind: Kind::Paths,
        guide: |Place { url, token, .. }| {
            Guide::new(format!(
                "export CARGO_REGISTRIES_MY_REGISTRY_INDEX=sparse+{url}/\n\
                 export CARGO_REGISTRIES_MY_REGISTRY_CREDENTIAL_PROVIDER=cargo:token\n\
                 export CARGO_REGISTRIES_MY_REGISTRY_TOKEN={token}"
            ))
            .read("cargo add --registry my-registry PACKAGE")
            .write("cargo publish --registry my-registry")
        },
    },
    Client {
        name: "npm",
        title: "npm",
        instructions: "The registry goes into the project's .npmrc, to be committed; the token into your own, never to \
                       be committed.",
        kind: Kind::Paths,
        guide: |Place { url, bare, token, .. }| {
            Guide::new(format!(
                "npm config set //{bare}/:_authToken={token}\n\
                 npm config set --location=project registry={url}/"
            ))
            .read("npm install PACKAGE")
            .write("npm publish")
        },
    },
    Client {
        name: "pnpm",
        title: "pnpm",
        instructions: "The registry goes into the project, to be committed; the token into your own settings, never to \
                       be committed.",
        kind: Kind::Paths,
        guide: |Place { url, bare, token, .. }| {
            Guide::new(format!(
                "pnpm config set //{bare}/:_authToken {token}\n\
                 pnpm config set --location=project registry {url}/"
            ))
            .read("pnpm add PACKAGE")
            .write("pnpm publish")
        },
    },
    Client {
        name: "yarn",
        title: "Yarn 2 and later",
        instructions: "The registry goes into the project's .yarnrc.yml, to be committed; the token into your own, never \
                       to be committed.",
        kind: Kind::Paths,
        guide: |place| {
            let Place { url, bare, token, host, .. } = place;
            let name = host.split(':').next().unwrap_or(host);
            let http =
                place.without_tls("yarn config set unsafeHttpWhitelist --json '[\"HOST\"]'\n").replace("HOST", name);
            Guide::new(format!(
                "{http}yarn config set npmRegistryServer {url}\n\
                 yarn config set npmAlwaysAuth true\n\
                 yarn config set --home 'npmRegistries[\"//{bare}\"].npmAuthToken' {token}"
            ))
            .read("yarn add PACKAGE")
            .write("yarn npm publish")
        },
    },
    Client {
        name: "pip",
        title: "pip",
        instructions: "The address holds for this shell and for CI. Of a refusal pip shows no more than that nothing was \
                       found: ask the same address with curl to read why.",
        kind: Kind::Paths,
        guide: |Place { scheme, bare, token, .. }| {
            Guide::new(format!("export PIP_INDEX_URL={scheme}://__token__:{token}@{bare}/simple/"))
                .read("pip install PACKAGE")
        },
    },
    Client {
        name: "uv",
        title: "uv",
        instructions: "These variables hold for this shell and for CI. To keep the index, write it into pyproject.toml \
                       under [[tool.uv.index]].",
        kind: Kind::Paths,
        guide: |Place { url, token, .. }| {
            Guide::new(format!(
                "export UV_INDEX=my-registry={url}/simple/\n\
                 export UV_INDEX_MY_REGISTRY_USERNAME=__token__\n\
                 export UV_INDEX_MY_REGISTRY_PASSWORD={token}"
            ))
            .read("uv pip install PACKAGE")
            .write(format!(
                "export UV_PUBLISH_URL={url}/\n\
                 export UV_PUBLISH_TOKEN=$UV_INDEX_MY_REGISTRY_PASSWORD\n\
                 uv publish dist/*"
            ))
        },
    },
    Client {
        name: "twine",
        title: "twine",
        instructions: "Uploads what `python -m build` has put into dist. Add --verbose to read why an upload is refused.",
        kind: Kind::Paths,
        guide: |Place { url, token, .. }| {
            Guide::new(format!(
                "export TWINE_REPOSITORY_URL={url}/\n\
                 export TWINE_USERNAME=__token__\n\
                 export TWINE_PASSWORD={token}"
            ))
            .write("twine upload dist/*")
        },
    },
    Client {
        name: "docker",
        title: "Docker",
        instructions: "Log in once; any user name will do. The token must be allowed to read v2/, which the login asks for.",
        kind: Kind::Container,
        guide: |Place { host, images, token, .. }| {
            Guide::new(format!("printf %s {token} | docker login --username token --password-stdin {host}"))
                .read(format!("docker pull {images}/IMAGE"))
                .write(format!("docker push {images}/IMAGE"))
        },
    },
    Client {
        name: "skopeo",
        title: "skopeo",
        instructions: "Log in once; any user name will do. The token must be allowed to read v2/, which the login asks for.",
        kind: Kind::Container,
        guide: |place| {
            let Place { host, images, token, .. } = place;
            let login = place.without_tls("--tls-verify=false ");
            let (from, to) =
                (place.without_tls("--src-tls-verify=false "), place.without_tls("--dest-tls-verify=false "));
            Guide::new(format!("printf %s {token} | skopeo login {login}--username token --password-stdin {host}"))
                .read(format!("skopeo copy {from}docker://{images}/IMAGE dir:DIRECTORY"))
                .write(format!("skopeo copy {to}dir:DIRECTORY docker://{images}/IMAGE"))
        },
    },
    Client {
        name: "helm",
        title: "Helm",
        instructions: "Log in once; any user name will do. Charts lie in the registry as OCI artifacts.",
        kind: Kind::Container,
        guide: |place| {
            let Place { host, images, token, .. } = place;
            let http = place.without_tls(" --plain-http");
            Guide::new(format!(
                "printf %s {token} | helm registry login --username token --password-stdin {host}{http}"
            ))
            .read(format!("helm pull oci://{images}/CHART{http}"))
            .write(format!("helm push CHART.tgz oci://{images}{http}"))
        },
    },
    Client {
        name: "maven",
        title: "Maven",
        instructions: "The settings file takes the token from the environment, so it may be committed. Maven shows no more \
                       of a refusal than its status.",
        kind: Kind::Paths,
        guide: |Place { url, token, .. }| {
            Guide::new(format!(
                r#"export MY_REGISTRY_TOKEN={token}
cat > my-registry.xml <<'END'
<settings>
  <servers>
    <server>
      <id>my-registry</id>
      <username>token</username>
      <password>${{env.MY_REGISTRY_TOKEN}}</password>
    </server>
  </servers>
  <profiles>
    <profile>
      <id>my-registry</id>
      <repositories>
        <repository>
          <id>my-registry</id>
          <url>{url}</url>
        </repository>
      </repositories>
    </profile>
  </profiles>
  <activeProfiles>
    <activeProfile>my-registry</activeProfile>
  </activeProfiles>
</settings>
END"#
            ))
            .read("mvn --settings my-registry.xml package")
            .write(format!(
                "mvn --settings my-registry.xml deploy -DaltDeploymentRepository=my-registry::default::{url}"
            ))
        },
    },
    Client {
        name: "gradle",
        title: "Gradle",
        instructions: "The script takes the token from the environment, so it may be committed. To publish, the project \
                       needs the plugin maven-publish.",
        kind: Kind::Paths,
        guide: |place| {
            let Place { url, token, .. } = place;
            // Gradle before 6 knows no such property, and takes http as it is.
            let http =
                place.without_tls("\n    if (hasProperty('allowInsecureProtocol')) allowInsecureProtocol = true");
            Guide::new(format!(
                r#"export MY_REGISTRY_TOKEN={token}
cat > my-registry.gradle <<'END'
allprojects {{
  def registry = {{
    name = 'myRegistry'
    url = '{url}'{http}
    credentials {{
      username = 'token'
      password = System.getenv('MY_REGISTRY_TOKEN')
    }}
    authentication {{ basic(BasicAuthentication) }}
  }}
  repositories {{ maven registry }}
  plugins.withId('maven-publish') {{ publishing.repositories {{ maven registry }} }}
}}
END"#
            ))
            .read("gradle --init-script my-registry.gradle build")
            .write("gradle --init-script my-registry.gradle publish")
        },
    },
    Client {
        name: "nuget",
        title: "NuGet (dotnet)",
        instructions: "The source and the token go into your own NuGet.Config. A push sends the token once more, as its \
                       API key.",
        kind: Kind::Paths,
        guide: |place| {
            let Place { url, token, .. } = place;
            let http = place.without_tls(" --allow-insecure-connections");
            Guide::new(format!(
                "dotnet nuget add source {url}/v3/index.json --name my-registry --username token --password {token} \
                 --store-password-in-clear-text{http}"
            ))
            .read("dotnet add package PACKAGE --source my-registry")
            .write(format!("dotnet nuget push PACKAGE.nupkg --source my-registry --api-key {token}{http}"))
        },
    },
    Client {
        name: "gem",
        title: "RubyGems",
        instructions: "For Bundler, say `bundle config set HOST token:TOKEN` with the registry's host and the token.",
        kind: Kind::Paths,
        guide: |Place { url, scheme, bare, token, .. }| {
            Guide::new(format!("export GEM_HOST_API_KEY={token}"))
                .read(format!(
                    "gem install --clear-sources --source {scheme}://token:$GEM_HOST_API_KEY@{bare}/ PACKAGE"
                ))
                .write(format!("gem push --host {url} PACKAGE.gem"))
        },
    },
    Client {
        name: "composer",
        title: "Composer",
        instructions: "The registry goes into the project's composer.json, to be committed; the token into your own \
                       auth.json, never to be committed.",
        kind: Kind::Paths,
        guide: |place| {
            let Place { url, host, token, .. } = place;
            let http = place.without_tls("composer config secure-http false\n");
            Guide::new(format!(
                "{http}composer config repositories.my-registry composer {url}\n\
                 composer config --global --auth http-basic.{host} token {token}"
            ))
            .read("composer require PACKAGE")
        },
    },
    Client {
        name: "go",
        title: "Go modules",
        instructions: "These variables hold for this shell and for CI. Go sends a token over https alone.",
        kind: Kind::Paths,
        guide: |Place { scheme, bare, token, .. }| {
            Guide::new(format!(
                "export GOPROXY={scheme}://token:{token}@{bare}\n\
                 export GONOSUMDB=MODULE"
            ))
            .read("go get MODULE")
        },
    },
    Client {
        name: "requests",
        title: "Python requests",
        instructions: "Any user name will do. The body of a refusal says why.",
        kind: Kind::Paths,
        guide: |Place { url, token, .. }| {
            Guide::new(format!(
                "import requests\n\
                 \n\
                 registry = requests.Session()\n\
                 registry.auth = (\"token\", \"{token}\")"
            ))
            .read(format!("answer = registry.get(\"{url}/PATH\")\nprint(answer.status_code, answer.text)"))
            .write(format!(
                "answer = registry.put(\"{url}/PATH\", data=open(\"FILE\", \"rb\"))\nprint(answer.status_code, answer.text)"
            ))
        },
    },
    Client {
        name: "httr2",
        title: "R httr2",
        instructions: "The token is sent as a bearer token. The error of a refusal says why.",
        kind: Kind::Paths,
        guide: |Place { url, token, .. }| {
            Guide::new(format!(
                "library(httr2)\n\
                 \n\
                 registry <- request(\"{url}\") |>\n  \
                 req_auth_bearer_token(\"{token}\") |>\n  \
                 req_error(body = function(answer) resp_body_string(answer))"
            ))
            .read("registry |> req_url_path_append(\"PATH\") |> req_perform() |> resp_body_string()")
            .write(
                "registry |> req_url_path_append(\"PATH\") |> req_method(\"PUT\") |> req_body_file(\"FILE\") |> \
                     req_perform()",
            )
        },
    },
    Client {
        name: "powershell",
        title: "PowerShell",
        instructions: "The token is sent as a bearer token. Invoke-RestMethod prints the body of a refusal.",
        kind: Kind::Paths,
        guide: |Place { url, token, .. }| {
            let invoke = "Invoke-RestMethod -Headers @{ Authorization = \"Bearer $token\" }";
            Guide::new(format!("$token = \"{token}\""))
                .read(format!("{invoke} -Uri {url}/PATH"))
                .write(format!("{invoke} -Uri {url}/PATH -Method Put -InFile FILE"))
        },
    },
];
