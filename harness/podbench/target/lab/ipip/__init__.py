"""IPIP between the lab's nodes: the kernel's device or eBPF at tc."""
