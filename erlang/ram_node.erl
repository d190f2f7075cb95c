%% The member of this node: started, stopped, wiped. ram_cluster of any node asks it over Erlang
%% distribution to join or leave; requests do not pass through here.
%%
%% A member that fails, for example because its disk is full, is closed and the reason is kept for
%% status; the process and the VM go on, and restart brings it back.
-module(ram_node).
-behaviour(gen_server).

-include_lib("kernel/include/logger.hrl").

-export([check/1, start_link/1, describe/1, join/4, joined/2, abandon/2, erase/1, restart/0,
         failure/0, recover/3]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).
-export_type([description/0]).

%% What a node says of its member. `members' is empty before the cluster is made; `former' is alive
%% while another node is about to make it.
-type description() ::
        none
      | #{cluster := binary(), id := pos_integer(), address := binary(), running := boolean(),
          members := [node()], forming := boolean(), storage := disk | memory}.

-record(state, {config :: ram_config:config(),
                member :: ram_nif:member() | undefined,
                cluster :: binary() | undefined,     % of the data, running or not
                storage = disk :: disk | memory,     % of the member
                former :: reference() | undefined,   % monitors who makes the cluster
                failure :: term()}).                 % why the member does not run, if it should

-define(TIMEOUT_MS, 30000).

%% @doc Would a member start with this? How sizes must fit each other the library alone knows.
-spec check(ram_config:config()) -> ok | {error, {bad_config, atom(), binary()}}.
check(Config) ->
    case ram_nif:member_check(Config#{cookie => <<>>, memory => false}) of
        ok -> ok;
        {error, {config, Key, Why}} -> {error, {bad_config, binary_to_existing_atom(Key), Why}}
    end.

-spec start_link(ram_config:config()) -> gen_server:start_ret().
start_link(Config) ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, Config, []).

-spec describe(node()) -> description().
describe(Node) ->
    call(Node, describe).

%% @doc Makes the node a new incarnation in the cluster, known to nobody yet. `Storage' is `any' for
%% what the node itself is set to.
-spec join(node(), binary(), any | disk | memory, pid()) ->
          {ok, {pos_integer(), binary(), binary()}} | {error, term()}.
join(Node, Cluster, Storage, Former) ->
    call(Node, {join, Cluster, Storage, Former}).

-spec joined(node(), binary()) -> ok.
joined(Node, Cluster) ->
    gen_server:cast({?MODULE, Node}, {joined, Cluster}).

%% @doc Undoes a join of which nothing came.
-spec abandon(node(), binary()) -> ok.
abandon(Node, Cluster) ->
    call(Node, {abandon, Cluster}).

%% @doc Stops the member and deletes its data.
-spec erase(node()) -> ok | {error, term()}.
erase(Node) ->
    call(Node, erase).

-spec restart() -> ok | {error, term()}.
restart() ->
    call(node(), restart).

%% @doc Makes the member of the node the only one of the cluster New, with the data it has.
-spec recover(node(), Old :: binary(), New :: binary()) ->
          {ok, LastLogIndex :: non_neg_integer()} | {error, term()}.
recover(Node, Old, New) ->
    call(Node, {recover, Old, New}).

%% @doc Why the member of this node does not run, if it should.
-spec failure() -> term().
failure() ->
    case whereis(?MODULE) of
        undefined -> undefined;
        _Pid -> call(node(), failure)
    end.

call(Node, Request) ->
    gen_server:call({?MODULE, Node}, Request, ?TIMEOUT_MS).

-spec init(ram_config:config()) -> {ok, #state{}}.
init(Config) ->
    process_flag(trap_exit, true),
    %% Of a process that was killed.
    _ = ram_request:clear_member(),
    ok = net_kernel_monitor(),
    {ok, start_again(#state{config = Config})}.

net_kernel_monitor() ->
    case is_alive() of
        true -> net_kernel:monitor_nodes(true);
        false -> ok
    end.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call(describe, _From, State) ->
    {reply, description(State), State};
handle_call({join, Cluster, Storage, Former}, _From, #state{cluster = undefined} = State) ->
    case start_as(Storage, Cluster, State) of
        {error, _} = Error ->
            {reply, Error, State};
        #state{member = undefined, failure = Reason} = Failed ->
            %% What was made of the data folder goes again: nobody knows this member.
            {reply, {error, Reason}, wipe(Failed)};
        Started ->
            #{id := Id, address := Address} = status(Started#state.member),
            Name = maps:get(name, Started#state.config),
            {reply, {ok, {Id, Name, Address}}, Started#state{former = monitor(process, Former)}}
    end;
handle_call({join, _Cluster, _Storage, _Former}, _From, State) ->
    {reply, {error, {already_clustered, [node()]}}, State};
handle_call({abandon, Cluster}, _From, #state{cluster = Cluster} = State) ->
    case members(State) of
        [] -> {reply, ok, wipe(State)};
        _ -> {reply, ok, State}
    end;
handle_call({abandon, _Other}, _From, State) ->
    {reply, ok, State};
handle_call(erase, _From, State) ->
    {reply, ok, wipe(State)};
handle_call(restart, _From, #state{member = undefined} = State) ->
    case start_again(State) of
        #state{member = undefined, failure = undefined} = None -> {reply, {error, noproc}, None};
        #state{member = undefined, failure = Reason} = Failed -> {reply, {error, Reason}, Failed};
        Started -> {reply, ok, Started}
    end;
handle_call(restart, _From, State) ->
    {reply, ok, State};
handle_call({recover, _Old, _New}, _From, #state{member = undefined} = State) ->
    {reply, {error, noproc}, State};
handle_call({recover, Old, New}, _From, #state{member = Member} = State) ->
    case ram_nif:member_recover(Member, Old, New) of
        {ok, Recovered, LastLogIndex} ->
            flush_events(),
            {reply, {ok, LastLogIndex}, serve(Recovered, State)};
        {error, other_cluster} = Error ->
            {reply, Error, State};
        {error, _} = Error ->
            {reply, Error, start_again(stop_member(State))}
    end;
handle_call(failure, _From, State) ->
    {reply, State#state.failure, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({joined, Cluster}, #state{cluster = Cluster, former = Former} = State) ->
    Former =/= undefined andalso demonitor(Former, [flush]),
    {noreply, State#state{former = undefined}};
handle_cast({address, Cluster, Id, Address}, #state{cluster = Cluster, member = Member} = State)
  when Member =/= undefined ->
    ok = ram_nif:member_set_address(Member, Id, Address),
    {noreply, State};
handle_cast(_Stale, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Former, process, _Pid, _Reason}, #state{former = Former} = State) ->
    {noreply, State#state{former = undefined}};
handle_info({nodeup, Node}, State) ->
    tell_address([Node], State),
    {noreply, State};
handle_info({ram_member, removed}, State) ->
    ?LOG_NOTICE("ram: this node was removed from its cluster; its data is deleted"),
    {noreply, wipe(State)};
handle_info({ram_member, {failed, Text}}, State) ->
    ?LOG_ERROR("ram: the member stopped: ~ts; ram:restart_server() starts it again", [Text]),
    {noreply, (stop_member(State))#state{failure = {failed, Text}}};
handle_info({ram_log, Level, Text}, State) ->
    ?LOG(Level, "ram: ~ts", [Text]),
    {noreply, State};
handle_info(_Other, State) ->
    {noreply, State}.

-spec terminate(term(), #state{}) -> ok.
terminate(_Reason, State) ->
    _ = stop_member(State),
    ok.

%% Serves the cluster that the data folder holds, if it holds one.
start_again(#state{config = #{data_dir := Dir, storage := Storage}} = State) ->
    case ram_nif:member_peek(Dir) of
        none ->
            State#state{cluster = undefined, failure = undefined};
        {ok, Cluster} when Storage =:= memory ->
            ?LOG_ERROR("ram: ~ts holds the data of a cluster, but storage is set to memory; "
                       "set it to disk, or delete the folder", [Dir]),
            State#state{cluster = Cluster, failure = {storage_mismatch, disk, memory}};
        {ok, Cluster} ->
            start_member(<<>>, State#state{cluster = Cluster, storage = disk});
        {error, Reason} ->
            ?LOG_ERROR("ram: cannot read the data in ~ts: ~tp", [Dir, Reason]),
            State#state{failure = Reason}
    end.

start_as(any, Cluster, #state{config = #{storage := any}} = State) ->
    start_member(Cluster, State#state{storage = disk});
start_as(any, Cluster, #state{config = #{storage := Storage}} = State) ->
    start_member(Cluster, State#state{storage = Storage});
start_as(Storage, Cluster, #state{config = #{storage := Set}} = State)
  when Set =:= any; Set =:= Storage ->
    start_member(Cluster, State#state{storage = Storage});
start_as(Storage, _Cluster, #state{config = #{storage := Set}}) ->
    {error, {storage_mismatch, Set, Storage}}.

%% `Cluster' is empty for the one that the data folder holds.
start_member(Cluster, State) ->
    case ram_nif:member_start(settings(State), Cluster) of
        {ok, Member} ->
            serve(Member, State);
        {error, Reason} ->
            ?LOG_ERROR("ram: the member did not start: ~tp", [Reason]),
            State#state{failure = Reason}
    end.

serve(Member, #state{config = #{call_timeout_ms := TimeoutMs, reads := Reads}} = State) ->
    ok = ram_request:set_member(Member, TimeoutMs, Reads),
    #{cluster := Cluster} = status(Member),
    Serving = State#state{member = Member, cluster = Cluster, failure = undefined},
    tell_address(nodes(), Serving),
    Serving.

settings(#state{config = Config, storage = Storage}) ->
    Config#{cookie => cookie(), memory => Storage =:= memory}.

%% A node that is not distributed has no peers, so nobody may know its secret.
cookie() ->
    case is_alive() of
        true -> atom_to_binary(erlang:get_cookie());
        false -> term_to_binary({make_ref(), erlang:unique_integer(), os:getpid(),
                                 erlang:system_time(), rand:bytes(32)})
    end.

stop_member(#state{member = undefined} = State) ->
    State;
stop_member(#state{member = Member} = State) ->
    _ = ram_request:clear_member(),
    ok = ram_nif:member_stop(Member),
    %% What it said until then must not be taken for the words of the next one.
    flush_events(),
    State#state{member = undefined}.

flush_events() ->
    receive {ram_member, _} -> flush_events()
    after 0 -> ok
    end.

wipe(#state{config = #{data_dir := Dir}} = State) ->
    Stopped = stop_member(State),
    case file:del_dir_r(Dir) of
        ok -> ok;
        {error, enoent} -> ok;
        {error, Reason} -> ?LOG_ERROR("ram: cannot delete ~ts: ~tp", [Dir, Reason])
    end,
    Stopped#state{cluster = undefined, former = undefined, failure = undefined}.

description(#state{cluster = undefined}) ->
    none;
description(#state{member = undefined, cluster = Cluster, storage = Storage}) ->
    #{cluster => Cluster, id => 0, address => <<>>, running => false, members => [],
      forming => false, storage => Storage};
description(#state{member = Member, cluster = Cluster, former = Former} = State) ->
    #{id := Id, address := Address} = status(Member),
    #{cluster => Cluster, id => Id, address => Address, running => true,
      members => members(State), forming => Former =/= undefined,
      storage => State#state.storage}.

%% Only this process stops the member, so it has a status.
status(Member) ->
    {ok, Status} = ram_nif:member_status(Member),
    Status.

members(#state{member = undefined}) ->
    [];
members(#state{member = Member}) ->
    #{members := Members} = status(Member),
    [binary_to_atom(Name) || {_Id, Name, _Address, _Standing} <- Members].

%% A member whose port changed while others were away: they learn it here, or when it connects.
tell_address(_Nodes, #state{member = undefined}) ->
    ok;
tell_address(Nodes, #state{member = Member, cluster = Cluster}) ->
    #{id := Id, address := Address} = status(Member),
    abcast = gen_server:abcast(Nodes, ?MODULE, {address, Cluster, Id, Address}),
    ok.
