"""Where public sets are, under which licence, and how large: what options offer and rows say."""

from typing import Final

NBIA: Final = "https://services.cancerimagingarchive.net/nbia-api/services/v1"
BUCKET: Final = "https://{bucket}.s3.amazonaws.com"
MSD_LIVER: Final = "https://msd-for-monai.s3-us-west-2.amazonaws.com/Task03_Liver.tar"
MSD_MD5: Final = "a90ec6c4aa7f6a3d087205e23d4e6397"
MSD_BYTES: Final = 28_500_000_000  # about
MSD_LICENCE: Final = "CC BY-SA 4.0"
MSD_DOI: Final = "10.1038/s41467-022-30695-9"
