"""The mesh's certificate authority: roots and their rotation, the issuing certificate, workloads' certificates. No I/O."""
