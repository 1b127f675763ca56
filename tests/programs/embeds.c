/* A program that is not Python, but runs the file that it is given in one. The file may have it
 * call functions in a thread that Python did not start. */
#include <Python.h>
#include <pthread.h>

static void *call(void *function) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *result = PyObject_CallNoArgs(function);
    if (result == NULL) {
        PyErr_Print();
    }
    Py_XDECREF(result);
    PyGILState_Release(state);
    return result;
}

/* in_thread(function): calls the function in a thread, and waits for it. */
static PyObject *in_thread(PyObject *self, PyObject *function) {
    pthread_t thread;
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = pthread_create(&thread, NULL, call, function) || pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(!failed);
}

static PyMethodDef methods[] = {{"in_thread", in_thread, METH_O, NULL}, {NULL}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "embedder", NULL, -1, methods};

static PyObject *make_module(void) {
    return PyModule_Create(&definition);
}

int main(int count, char **arguments) {
    FILE *file = count > 1 ? fopen(arguments[1], "r") : NULL;
    if (file == NULL || PyImport_AppendInittab("embedder", make_module) < 0) {
        return 2;
    }
    Py_Initialize();
    int status = PyRun_SimpleFileEx(file, arguments[1], 1);
    return Py_FinalizeEx() < 0 || status != 0;
}
