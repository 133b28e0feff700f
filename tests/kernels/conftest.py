"""What lies in `inside` runs in guests only; `test_kernels` on the host boots them."""

import os

from support.guests.guest import INSIDE

collect_ignore = [] if INSIDE in os.environ else ["inside"]
