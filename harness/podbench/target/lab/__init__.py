"""The lab: network namespaces with real VXLAN, IPIP and BGP. The only importer of namespaces."""
