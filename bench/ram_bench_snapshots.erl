%% Watches the data folders of nodes for snapshots, from outside, so that the nodes are not asked
%% while they are measured. A snapshot is being written as long as its temporary file is there.
-module(ram_bench_snapshots).

-export([watch/1, count/1, stop/1, disk_bytes/1]).
-export_type([seen/0, disk/0]).

%% Times of the system's clock in microseconds.
-type seen() :: [{Folder :: string(), Begin :: integer(), End :: integer()}].
-type disk() :: #{log := non_neg_integer(), snapshot := non_neg_integer()}.

-define(INTERVAL_MS, 5).

-spec watch([string()]) -> pid().
watch(Folders) ->
    spawn_link(fun() -> loop(#{}, [], Folders) end).

%% @doc The most snapshots that were finished in one of the folders.
-spec count(pid()) -> non_neg_integer().
count(Watch) ->
    Folders = [Folder || {Folder, _, _} <- ask(Watch, seen)],
    lists:max([0 | [length([F || F <- Folders, F =:= Folder]) || Folder <- Folders]]).

-spec stop(pid()) -> seen().
stop(Watch) ->
    Seen = ask(Watch, seen),
    stopped = ask(Watch, stop),
    Seen.

ask(Watch, Request) ->
    Watch ! {self(), Request},
    receive {Watch, Reply} -> Reply end.

%% Open: folder => since when a snapshot is written there.
loop(Open, Seen, Folders) ->
    receive
        {From, seen} -> From ! {self(), Seen}, loop(Open, Seen, Folders);
        {From, stop} -> unlink(From), From ! {self(), stopped}
    after ?INTERVAL_MS ->
        Now = os:system_time(microsecond),
        Writing = [Folder || Folder <- Folders, is_writing(Folder)],
        Ended = [{Folder, Begin, Now} || {Folder, Begin} <- maps:to_list(Open),
                                         not lists:member(Folder, Writing)],
        Begun = maps:from_list([{Folder, Now} || Folder <- Writing]),
        %% What is known already has the earlier begin.
        loop(maps:with(Writing, maps:merge(Begun, Open)), Ended ++ Seen, Folders)
    end.

is_writing(Folder) ->
    lists:any(fun(Name) -> is_snapshot(Name) andalso lists:suffix(".tmp", Name) end, files(Folder)).

is_snapshot(Name) ->
    lists:prefix("snapshot-", Name).

%% @doc What the files of a data folder take; `log' is all but snapshots.
-spec disk_bytes(string()) -> disk().
disk_bytes(Folder) ->
    {Snapshots, Others} = lists:partition(fun is_snapshot/1, files(Folder)),
    Bytes = fun(Names) ->
                    lists:sum([filelib:file_size(filename:join(Folder, Name)) || Name <- Names])
            end,
    #{log => Bytes(Others), snapshot => Bytes(Snapshots)}.

%% Not through the file server of this VM, which others use.
files(Folder) ->
    {ok, Names} = prim_file:list_dir(Folder),
    Names.
