"""Small downloads of Human3.6M with made-up people, written by the libraries of their formats."""

import io
import tarfile
import zipfile
from pathlib import Path

import cdflib
import h5py
import h36m_files
import numpy as np
import scipy.io

LENGTHS = {
    "S1": {"Photo 1": 5, "Walking": 4},
    "S9": {"Eating": 3, "WalkDog": 4, "Walking 1": 6},
    "S11": {"Directions": 2, "Directions 1": 3, "Sitting": 5},
}
OFFICIAL = {"Photo": "TakingPhoto", "WalkDog": "WalkingDog"}
KINDS = ("h5", "cdf.mat", "cdf.mat 7.3", "cdf")


def millimeters(lengths=LENGTHS):
    """Subject -> clip -> (time, 96) float64, millimeters, world axes."""
    poses = h36m_files.make(lengths, neck=True).poses
    return {
        subject: {
            name: pose.reshape(len(pose), 96).astype(np.float64) * 1000
            for name, pose in clips.items()
        }
        for subject, clips in poses.items()
    }


def encode(rows, kind):
    """The bytes of a file that holds (time, 96) rows."""
    return {"h5": h5, "cdf.mat": mat, "cdf.mat 7.3": mat_73, "cdf": cdf}[kind](rows)


def h5(rows, name="3D_positions"):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file[name] = np.asarray(rows).T  # (96, time)
    return stream.getvalue()


def mat(rows, name="data"):
    cells = np.empty((1, 1), object)
    cells[0, 0] = rows
    stream = io.BytesIO()
    scipy.io.savemat(stream, {name: cells}, do_compression=True)
    return stream.getvalue()


def mat_73(rows, name="data"):
    """A file of MATLAB 7.3, which no library for Python writes: HDF5 behind 512 bytes of MATLAB's.

    A cell array is a dataset of references into the group "#refs#"; axes are reversed.
    """
    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=512) as file:
        cell = file.create_dataset("#refs#/a", data=np.asarray(rows).T)
        cell.attrs["MATLAB_class"] = np.bytes_("double")
        cells = file.create_dataset(name, (1, 1), dtype=h5py.ref_dtype)
        cells[0, 0] = cell.ref
        cells.attrs["MATLAB_class"] = np.bytes_("cell")
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM"
    return text.ljust(512, b"\0") + stream.getvalue()[512:]


def cdf(rows, name="Pose"):
    """As in the official files: one record of (time, 96), float32."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.cdf"
        file = cdflib.cdfwrite.CDF(path, cdf_spec={"Majority": "row_major"})
        about = {
            "Variable": name,
            "Data_Type": file.CDF_FLOAT,
            "Num_Elements": 1,
            "Rec_Vary": True,
            "Dim_Sizes": list(np.shape(rows)),
        }
        file.write_var(about, var_data=np.asarray(rows, np.float32)[None])
        file.close()
        return path.read_bytes()


def members(clips, kind):
    """Path in the download -> bytes."""
    files = {}
    for subject, named in clips.items():
        for name, rows in named.items():
            if kind == "h5":
                path = f"h36m/{subject}/MyPoses/3D_positions/{name}.h5"
            else:
                action, space, number = name.partition(" ")
                name = OFFICIAL.get(action, action) + space + number
                path = f"{subject}/MyPoseFeatures/D3_Positions/{name}.{kind.split()[0]}"
            files[path] = encode(rows, kind)
    return files


def write_folder(folder: Path, files) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_zip(path: Path, files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("h36m")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return path
