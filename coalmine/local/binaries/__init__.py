"""Getting etcd, kube-apiserver, kube-controller-manager and kubectl onto this machine."""
