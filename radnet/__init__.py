"""3D-RADNet: labels from metadata, networks, training and inference. No DICOM network."""
