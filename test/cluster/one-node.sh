#!/usr/bin/env bash
# A Kubernetes of one node where there is no Docker for kind: one-node.sh FOLDER, as root, on Debian. Kubernetes and CoreDNS
# are built from the Go proxy (some minutes, the first time), the rest comes from packages:
#   apt-get install etcd-server containerd runc containernetworking-plugins iptables conntrack buildah debootstrap gcc
# The image of test/image/run.sh is put onto the node. It changes the machine's iptables and adds a bridge: for a machine that
# you may break. Ends with what to export; `kill $(cat FOLDER/pids)` ends all of it but the bridge.
set -euo pipefail

folder=$(mkdir -p "$1" && cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
kubernetes=v1.34.2
coredns=v1.12.4
bin=$folder/bin
export PATH="$bin:$PATH:/usr/sbin"
mkdir -p "$folder"/{bin,pki,log,cni}
cd "$folder"

# Kubernetes' own module replaces its parts by folders that the proxy's archive leaves out: they are modules as well.
if [ ! -x bin/kubelet ]; then
  cp -r "$(go mod download -json "k8s.io/kubernetes@$kubernetes" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')" source
  chmod -R u+w source
  (
    cd source
    rm -rf vendor staging go.work go.work.sum
    sed -i -e '/^replace (/,/^)/d' -e "s/\(k8s\.io\/[a-z-]*\) v0\.0\.0\$/\1 v0${kubernetes#v1}/" go.mod
    version=k8s.io/component-base/version
    GOFLAGS=-mod=mod go build -o ../bin/ -ldflags "-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 \
      -X $version.gitMinor=$(cut -d. -f2 <<< $kubernetes) -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes" \
      ./cmd/{kubectl,kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy,kubelet}
    gcc -static -Os -o ../bin/pause build/pause/linux/pause.c
  )
  rm -rf source
fi
[ -x bin/coredns ] || GOBIN=$bin go install "github.com/coredns/coredns@$coredns"

: > pids
start() {
  "$@" > "log/$1" 2>&1 < /dev/null &
  echo $! >> pids
}

# One authority, and three who show its certificates.
sign() { # NAME SUBJECT ALTERNATIVE_NAMES
  openssl req -newkey rsa:2048 -nodes -subj "$2" -keyout "pki/$1.key" -out "pki/$1.csr"
  openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 30 -out "pki/$1.crt" \
    -extfile <(echo "subjectAltName=$3")
}
node=$(hostname)
if [ ! -e pki/node.crt ]; then
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=test-cluster -keyout pki/ca.key -out pki/ca.crt
  sign server /CN=kube-apiserver DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1
  sign admin /O=system:masters/CN=admin DNS:admin
  sign node "/O=system:nodes/CN=system:node:$node" "DNS:$node"
  openssl genrsa -out pki/accounts.key 2048
fi 2> log/openssl
for user in admin node; do
  cat > $user.kubeconfig << EOF
apiVersion: v1
kind: Config
clusters: [{ name: test, cluster: { server: https://127.0.0.1:6443, certificate-authority: $folder/pki/ca.crt } }]
users: [{ name: $user, user: { client-certificate: $folder/pki/$user.crt, client-key: $folder/pki/$user.key } }]
contexts: [{ name: test, context: { cluster: test, user: $user } }]
current-context: test
EOF
done
export KUBECONFIG=$folder/admin.kubeconfig

start etcd --data-dir etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380
start kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=127.0.0.1 --advertise-address=10.88.0.1 \
  --endpoint-reconciler-type=none --service-cluster-ip-range=10.96.0.0/16 --client-ca-file=pki/ca.crt \
  --tls-cert-file=pki/server.crt --tls-private-key-file=pki/server.key --authorization-mode=Node,RBAC \
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=pki/accounts.key \
  --service-account-signing-key-file=pki/accounts.key --kubelet-client-certificate=pki/admin.crt \
  --kubelet-client-key=pki/admin.key --kubelet-preferred-address-types=InternalIP
until kubectl get --raw /readyz > /dev/null 2>&1; do sleep 0.5; done
start kube-controller-manager --kubeconfig=admin.kubeconfig --service-account-private-key-file=pki/accounts.key \
  --root-ca-file=pki/ca.crt --use-service-account-credentials --leader-elect=false
start kube-scheduler --kubeconfig=admin.kubeconfig --leader-elect=false

ip link show cbr0 > /dev/null 2>&1 || ip link add cbr0 type bridge
ip addr replace 10.88.0.1/16 dev cbr0
ip link set cbr0 up
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
cat > cni/pods.conflist << EOF
{ "cniVersion": "0.4.0", "name": "pods", "plugins": [{ "type": "bridge", "bridge": "cbr0", "isGateway": true, "ipMasq": true,
  "hairpinMode": true, "ipam": { "type": "host-local", "subnet": "10.88.0.0/16", "routes": [{ "dst": "0.0.0.0/0" }] } }] }
EOF
cat > containerd.toml << EOF
version = 2
root = "$folder/containerd/root"
state = "$folder/containerd/state"
[grpc]
  address = "$folder/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:test"
  restrict_oom_score_adj = true
  cni = { bin_dir = "/usr/lib/cni", conf_dir = "$folder/cni" }
EOF
start containerd --config containerd.toml
until ctr -a containerd.sock version > /dev/null 2>&1; do sleep 0.5; done

# The images: pulled, or made of Debian's packages in the Debian of Node's image.
load() { # IMAGE
  rm -f image.tar
  buildah push --quiet "$1" "docker-archive:image.tar:$1"
  ctr -a containerd.sock -n k8s.io images import image.tar
  rm image.tar
}
of_package() { # IMAGE PACKAGES ENTRYPOINT CMD [FILE PATH]
  if ! buildah inspect --type image "$1" > /dev/null 2>&1 && ! buildah pull --quiet "$1" 2> /dev/null; then
    local container
    container=$(buildah from --pull=false "$debian")
    buildah run --isolation chroot "$container" -- sh -c "apt-get update -qq && apt-get install -y -qq --no-install-recommends $2" \
      > log/apt 2>&1
    [ $# -lt 6 ] || buildah copy --quiet "$container" "$5" "$6" > /dev/null
    buildah config --entrypoint "[\"$3\"]" --cmd "$4" "$container"
    buildah commit --quiet --rm "$container" "$1"
  fi
  load "$1"
}
debian=docker.io/library/node:$(sed -n 's/^ARG NODE_VERSION=//p' "$here/../../Dockerfile")-bookworm
otaflux=ghcr.io/otaflux/otaflux:$(sed -n 's/^appVersion: //p' "$here/../../helm/otaflux/Chart.yaml")
"$here/../image/run.sh" "$otaflux"
load "$otaflux"
pause=$(buildah from scratch)
buildah copy --quiet "$pause" bin/pause /pause > /dev/null
buildah config --entrypoint '["/pause"]' "$pause"
buildah commit --quiet --rm "$pause" registry.k8s.io/pause:test > /dev/null
load registry.k8s.io/pause:test
cat > registry.yml << EOF
version: 0.1
storage: { filesystem: { rootdirectory: /var/lib/registry } }
http: { addr: ':5000' }
EOF
of_package docker.io/library/registry:2 docker-registry docker-registry 'serve /etc/docker/registry/config.yml' \
  registry.yml /etc/docker/registry/config.yml
of_package docker.io/library/eclipse-mosquitto:2 'mosquitto mosquitto-clients' mosquitto '-c /mosquitto/config/mosquitto.conf'

cat > kubelet.yaml << EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: { anonymous: { enabled: false }, x509: { clientCAFile: $folder/pki/ca.crt } }
containerRuntimeEndpoint: unix://$folder/containerd.sock
cgroupDriver: cgroupfs
failSwapOn: false
enforceNodeAllocatable: [none]
oomScoreAdj: 0
clusterDNS: [10.88.0.1]
clusterDomain: cluster.local
evictionHard: { nodefs.available: 1% }
EOF
start kubelet --config=kubelet.yaml --kubeconfig=node.kubeconfig --root-dir="$folder/kubelet" --cert-dir="$folder/kubelet/pki" \
  --node-ip=10.88.0.1 --hostname-override="$node"
start kube-proxy --kubeconfig=admin.kubeconfig --hostname-override="$node" --conntrack-max-per-core=0
cat > Corefile << EOF
. {
  bind 10.88.0.1
  kubernetes cluster.local {
    kubeconfig $folder/admin.kubeconfig test
  }
  forward . /etc/resolv.conf
}
EOF
start coredns -conf Corefile
until kubectl wait --for=condition=Ready "node/$node" --timeout=60s 2> /dev/null; do sleep 1; done
echo "export KUBECONFIG=$KUBECONFIG PATH=$bin:\$PATH"
