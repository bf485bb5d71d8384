# Cross-compiles the core for 64-bit Arm: cmake -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64-linux-gnu.cmake -DRN_MEDIA=OFF -DRN_TESTS=OFF -DRN_SHARED=OFF
# RN_CROSS_INCLUDE is a folder with jansson.h and jansson_config.h (text, the same on every processor).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES RN_CROSS_INCLUDE)
if(RN_CROSS_INCLUDE)
  set(CMAKE_C_FLAGS_INIT "-isystem \"${RN_CROSS_INCLUDE}\"")
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)
